// Bss declares 100 MB of zeroed memory and touches little of it: it must cost what is touched, in a 64 MiB machine.
package main

import "fmt"

var (
	large  [100_000_000]byte
	filled = [4096]byte{4095: 7}
)

func main() {
	sum := 0
	for i := 0; i < len(large); i += 1_000_003 {
		sum += int(large[i])
		large[i] = 1
	}
	for i := 0; i < len(large); i += 1_000_003 {
		sum += int(large[i])
	}
	fmt.Println(len(large), sum, filled[4095])
}
