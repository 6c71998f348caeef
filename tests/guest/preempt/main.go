// Preempt runs tight loops without calls on one and on several processors: everything else must still get its turn,
// which takes a signal that reaches a running thread.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func spin(stop *atomic.Bool) (n int) {
	for !stop.Load() {
		n++
	}
	return n
}

func main() {
	for _, processors := range []int{1, 2, 4} {
		runtime.GOMAXPROCS(processors)
		var stops [4]atomic.Bool
		var done sync.WaitGroup
		for i := range stops {
			done.Add(1)
			go func(stop *atomic.Bool) {
				defer done.Done()
				spin(stop)
			}(&stops[i])
		}
		for i := 0; i < 5; i++ {
			time.Sleep(2 * time.Millisecond)
		}
		runtime.GC() // stops the world: every loop has to be interrupted
		fmt.Println("main ran beside four tight loops, GOMAXPROCS", processors)
		for i := range stops {
			stops[i].Store(true)
		}
		runtime.Gosched()
		finished := make(chan bool)
		go func() { done.Wait(); close(finished) }()
		select {
		case <-finished:
			fmt.Println("the loops ended")
		case <-time.After(10 * time.Second):
			fmt.Println("the loops never saw their flag")
		}
	}
}
