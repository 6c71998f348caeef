// Goroutines runs ten thousand goroutines that meet in channels, mutexes, condition variables and select.
package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const count = 10_000

func main() {
	fmt.Println("chain", chain())
	fmt.Println("counter", counter())
	fmt.Println("select", selects())
	fmt.Println("condition", condition())
	fmt.Println("cancelled", cancelled())
	fmt.Println("pipeline", pipeline())
}

// chain passes a number through ten thousand goroutines, each of which adds one.
func chain() int {
	first := make(chan int)
	in := first
	for i := 0; i < count; i++ {
		out := make(chan int)
		go func(in, out chan int) { out <- 1 + <-in }(in, out)
		in = out
	}
	first <- 0
	return <-in
}

func counter() int {
	var lock sync.Mutex
	var done sync.WaitGroup
	total := 0
	for i := 0; i < count; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			lock.Lock()
			defer lock.Unlock()
			total++
		}()
	}
	done.Wait()
	return total
}

// selects lets producers offer numbers on four channels that one select drains.
func selects() int {
	var channels [4]chan int
	for i := range channels {
		channels[i] = make(chan int, i)
	}
	for i := 0; i < count; i++ {
		go func(i int) { channels[i%4] <- i }(i)
	}
	sum := 0
	timeout := time.After(time.Minute)
	for i := 0; i < count; i++ {
		select {
		case n := <-channels[0]:
			sum += n
		case n := <-channels[1]:
			sum += n
		case n := <-channels[2]:
			sum += n
		case n := <-channels[3]:
			sum += n
		case <-timeout:
			return -1
		}
	}
	return sum
}

func condition() int64 {
	var lock sync.Mutex
	ready := false
	start := sync.NewCond(&lock)
	var woken atomic.Int64
	var done sync.WaitGroup
	for i := 0; i < 1000; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			lock.Lock()
			for !ready {
				start.Wait()
			}
			lock.Unlock()
			woken.Add(1)
		}()
	}
	lock.Lock()
	ready = true
	start.Broadcast()
	lock.Unlock()
	done.Wait()
	return woken.Load()
}

func cancelled() int64 {
	ctx, cancel := context.WithCancel(context.Background())
	var seen atomic.Int64
	var done sync.WaitGroup
	for i := 0; i < count; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			<-ctx.Done()
			seen.Add(1)
		}()
	}
	cancel()
	done.Wait()
	return seen.Load()
}

// pipeline sends through three stages of eight workers each.
func pipeline() int {
	stage := func(in chan int, f func(int) int) chan int {
		out := make(chan int)
		var workers sync.WaitGroup
		for i := 0; i < 8; i++ {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for n := range in {
					out <- f(n)
				}
			}()
		}
		go func() { workers.Wait(); close(out) }()
		return out
	}
	source := make(chan int)
	go func() {
		for i := 0; i < 2000; i++ {
			source <- i
		}
		close(source)
	}()
	sum := 0
	double := func(n int) int { return 2 * n }
	for n := range stage(stage(stage(source, double), double), double) {
		sum += n
	}
	return sum
}
