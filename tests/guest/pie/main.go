// Pie is built position-independent: its relocations have been done and its code is not where a fixed program's is.
package main

import (
	"fmt"
	"reflect"
)

var table = map[string]func(int) int{
	"double": func(n int) int { return 2 * n },
	"square": func(n int) int { return n * n },
}

var pointer = &table

func main() {
	fmt.Println((*pointer)["double"](21), (*pointer)["square"](12))
	fmt.Println("placed high:", reflect.ValueOf(main).Pointer() > 1<<32)
}
