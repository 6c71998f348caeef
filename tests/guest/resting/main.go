// Resting says that it is there and rests, so that the machine's memory can be looked at. Asked to, it first copies a
// page of its own code, which whoever looks must then find. See tests/boot/test_copies.py; it has no run of its own.
package main

import (
	"fmt"
	"os"
	"reflect"
	"time"
	"unsafe"
)

const page = 4096

var copied []byte

func main() {
	if len(os.Args) > 1 {
		code := reflect.ValueOf(fmt.Fprintf).Pointer() &^ (page - 1)
		copied = append(copied, unsafe.Slice((*byte)(unsafe.Pointer(code)), page)...)
	}
	fmt.Println("ready")
	time.Sleep(time.Hour)
}
