// Stacks grows goroutine stacks: one to 100 MiB, and many by a little, while the collector moves and shrinks them.
package main

import (
	"fmt"
	"runtime"
	"sync"
)

func deep(n int, buffer *[256]byte) int {
	var local [256]byte
	local[n%256] = buffer[(n+1)%256] + 1
	if n == 0 {
		return int(local[0])
	}
	return deep(n-1, &local) + int(local[n%256]&1)
}

func main() {
	var start [256]byte
	fmt.Println("deep:", deep(250_000, &start))
	runtime.GC()
	var done sync.WaitGroup
	results := make([]int, 500)
	for i := range results {
		done.Add(1)
		go func(i int) {
			defer done.Done()
			var start [256]byte
			results[i] = deep(20+i, &start)
			runtime.Gosched()
			results[i] += deep(10, &start)
		}(i)
	}
	done.Wait()
	sum := 0
	for _, r := range results {
		sum += r
	}
	fmt.Println("many:", sum)
}
