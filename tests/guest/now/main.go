// Now reads the clock 200,000 times: cheap only where the vDSO answers without a trap. benchmarks/ reads its second line.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	const count = 200_000
	start := time.Now()
	last := start
	for i := 0; i < count; i++ {
		now := time.Now()
		if now.Before(last) {
			fmt.Println("the clock went backwards")
		}
		last = now
	}
	fmt.Println(count, "readings, none backwards")
	if len(os.Args) > 1 {
		fmt.Println("microseconds", time.Since(start).Microseconds())
	}
}
