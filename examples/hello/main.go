// The smallest program worth booting: it says hello and which machine it believes to be on.
package main

import (
	"fmt"
	"runtime"
)

func main() {
	fmt.Printf("Hello from %s on %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
