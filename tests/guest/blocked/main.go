// Blocked keeps many operating-system threads blocked in calls at once, each locked to its goroutine.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const threads = 60

func main() {
	var ends [threads][2]int
	results := make(chan byte, threads)
	ids := make(chan int, threads)
	var started sync.WaitGroup
	for i := range ends {
		if err := syscall.Pipe(ends[i][:]); err != nil {
			fmt.Println("pipe:", err)
			return
		}
		started.Add(1)
		go func(i int) {
			runtime.LockOSThread()
			ids <- syscall.Gettid()
			started.Done()
			var data [1]byte
			if n, err := syscall.Read(ends[i][0], data[:]); n != 1 || err != nil {
				fmt.Println("read:", n, err)
			}
			results <- data[0]
			if i%2 == 0 {
				runtime.UnlockOSThread()
			} // the others end their thread with the goroutine
		}(i)
	}
	started.Wait()
	time.Sleep(20 * time.Millisecond)
	different := map[int]bool{}
	for i := 0; i < threads; i++ {
		different[<-ids] = true
	}
	fmt.Println("threads:", len(different), "results before any write:", len(results))
	for i := range ends {
		syscall.Write(ends[i][1], []byte{byte(i)})
	}
	sum := 0
	for range ends {
		sum += int(<-results)
	}
	fmt.Println("sum:", sum)

	// The runtime must still make new threads after some have ended.
	var done sync.WaitGroup
	for i := 0; i < 200; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			runtime.LockOSThread()
			runtime.Gosched()
		}()
	}
	done.Wait()
	fmt.Println("200 threads came and went")

	// A thread in a raw sleep does not hold up the others, even with one P.
	runtime.GOMAXPROCS(1)
	var awake atomic.Bool
	go func() {
		wait := syscall.NsecToTimespec(int64(20 * time.Second))
		syscall.Nanosleep(&wait, nil)
		awake.Store(true)
	}()
	runtime.Gosched()
	time.Sleep(5 * time.Millisecond)
	fmt.Println("went on while a thread sleeps:", !awake.Load())
}
