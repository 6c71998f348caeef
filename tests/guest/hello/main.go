// Hello prints one line to each stream and one by the runtime's own print.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println("hello, standard output")
	fmt.Fprintln(os.Stderr, "hello, standard error")
	println("hello, runtime")
}
