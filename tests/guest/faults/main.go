// Faults does one thing that goes wrong, named by its argument: what the runtime recovers, and what ends the program.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"
)

type record struct {
	far   [8192]byte
	value int
}

var (
	nothing *record
	zero    int
	sink    any
)

var scenarios = map[string]func(){
	"recovered":      recovered,
	"nil":            func() { fmt.Println(nothing.value) },
	"divide":         func() { fmt.Println(1 / zero) },
	"panic-error":    func() { panic(fmt.Errorf("wrapped: %w", errors.New("the cause"))) },
	"panic-again":    panicAgain,
	"goroutine":      func() { go func() { panic("in a goroutine") }(); select {} },
	"overflow":       func() { debug.SetMaxStack(64 << 20); fmt.Println(overflow(0)) },
	"overflow-whole": func() { fmt.Println(overflow(0)) },
	"deadlock":       func() { <-make(chan int) },
	"goexit":         func() { defer fmt.Println("deferred by main"); runtime.Goexit() },
	"goexit-other":   goexitOther,
	"exit-deferred":  func() { defer os.Exit(3); panic("never printed") },
	"bad-address":    func() { *(*int)(unsafe.Pointer(uintptr(0x5aa5_0000_1000))) = 1 },
	"bad-noncanon":   func() { *(*int)(unsafe.Pointer(uintptr(0x5aa5_0000_0000_1000))) = 1 },
	"write-to-text":  writeToText,
	"run-data":       runData,
	"crash":          func() { debug.SetTraceback("crash"); panic("with a core") },
	"out-of-memory":  func() { sink = make([]byte, 1<<44) }, // more than any computer has, in an address space that has room for it wherever the heap lies
	"closed-channel": func() { c := make(chan int); close(c); close(c) },
}

func main() {
	scenario, found := scenarios[os.Args[1]]
	if !found {
		fmt.Println("no scenario", os.Args[1])
		os.Exit(64)
	}
	scenario()
	fmt.Println("reached the end of main")
}

func try(name string, f func()) {
	defer func() {
		problem := recover()
		if fault, is := problem.(interface{ Addr() uintptr }); is {
			fmt.Printf("%s: %v (page offset of the address: %#x)\n", name, problem, fault.Addr()%4096)
			return
		}
		_, isRuntime := problem.(runtime.Error)
		fmt.Printf("%s: %v (runtime error: %t)\n", name, problem, isRuntime)
	}()
	f()
	fmt.Println(name, "did not fail")
}

// recovered goes through every fault that the runtime turns into a panic, twice: the second time must work like the first.
func recovered() {
	for round := 0; round < 2; round++ {
		try("read through nil", func() { fmt.Println(nothing.value) })
		try("write through nil", func() { nothing.value = 1 })
		try("divide by zero", func() { fmt.Println(1 / zero) })
		try("remainder by zero", func() { fmt.Println(1 % zero) })
		try("index", func() { fmt.Println(os.Args[zero+7]) })
		try("assertion", func() { sink = 1; fmt.Println(sink.(string)) })
		try("nil map", func() { var m map[int]int; m[1] = 1 })
		try("nil function", func() { var f func(); f() })
		protected()
	}
	done := make(chan bool)
	for i := 0; i < 100; i++ {
		go func() {
			defer func() { done <- recover() != nil }()
			nothing.value++
		}()
	}
	for i := 0; i < 100; i++ {
		if !<-done {
			fmt.Println("a goroutine missed its fault")
		}
	}
	fmt.Println("100 goroutines recovered from a fault each")
}

// protected touches pages whose protection forbids it, with debug.SetPanicOnFault.
func protected() {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	page, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fmt.Println("mmap", err)
		return
	}
	try("read of PROT_NONE", func() { fmt.Println(page[16]) })
	syscall.Mprotect(page, syscall.PROT_READ)
	try("write of PROT_READ", func() { page[32] = 1 })
	fmt.Println("still readable:", page[32])
	address := unsafe.Pointer(&page[0])
	syscall.Munmap(page)
	try("read of an unmapped page", func() { fmt.Println(*(*byte)(address)) })
}

func panicAgain() {
	defer func() { panic("second, while the first unwinds") }()
	panic("first")
}

func overflow(n int) int {
	var pad [128]byte
	pad[n%128] = byte(n)
	return overflow(n+1) + int(pad[(n+1)%128])
}

func goexitOther() {
	done := make(chan bool)
	go func() {
		defer close(done)
		defer fmt.Println("deferred by the goroutine")
		runtime.Goexit()
		fmt.Println("never printed")
	}()
	<-done
}

// writeToText writes to the program's own code.
func writeToText() {
	text := **(**uintptr)(unsafe.Pointer(&scenarioEntry))
	*(*byte)(unsafe.Pointer(text)) = 0xCC
}

// runData calls into a page that holds a return instruction but may not be run.
func runData() {
	page, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	page[0] = 0xC3
	entry := uintptr(unsafe.Pointer(&page[0]))
	closure := &entry
	(*(*func())(unsafe.Pointer(&closure)))()
}

var scenarioEntry = goexitOther
