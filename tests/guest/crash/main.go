// Crash asks for the runtime's crash report in every form: traceback levels, a second file for it, SIGQUIT.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	if setOutput != nil {
		fmt.Println("crash output:", setOutput(os.Stdout))
	}
	switch os.Args[1] {
	case "abort":
		debug.SetTraceback("crash")
		fail(3)
	case "quit":
		syscall.Kill(syscall.Getpid(), syscall.SIGQUIT)
		time.Sleep(10 * time.Second)
	case "none":
		debug.SetTraceback("none")
		fail(1)
	case "stack":
		fmt.Println(len(debug.Stack()) > 0)
		debug.PrintStack()
	}
}

//go:noinline
func fail(depth int) {
	if depth > 0 {
		fail(depth - 1)
	}
	panic("the reason")
}
