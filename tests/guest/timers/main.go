// Timers checks that sleeps, timers, tickers and deadlines fire when they should. It prints verdicts only: a verdict
// looks at the median of several tries, so that a busy host does not decide it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"syscall"
	"time"
)

const (
	tries     = 9
	rounds    = 5
	tolerance = 5 * time.Millisecond
)

// verdict runs `once` several times; each returns how far past the wanted moment it woke. None may be early; half of
// them must be on time, in one round of several, for a computer may be busy for longer than a round takes.
func verdict(name string, once func() time.Duration) {
	median := time.Duration(0)
	for round := 0; round < rounds; round++ {
		var late []time.Duration
		for i := 0; i < tries; i++ {
			late = append(late, once())
		}
		sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
		if late[0] < 0 {
			fmt.Println(name, "woke too early by", -late[0])
			return
		}
		if median = late[tries/2]; median <= tolerance {
			fmt.Println(name, "on time")
			return
		}
	}
	fmt.Println(name, "woke too late, median", median)
}

func main() {
	for _, wait := range []time.Duration{0, time.Millisecond, 7 * time.Millisecond, 30 * time.Millisecond} {
		wait := wait
		verdict(fmt.Sprint("sleep ", wait), func() time.Duration {
			start := time.Now()
			time.Sleep(wait)
			return time.Since(start) - wait
		})
	}
	verdict("timer", func() time.Duration {
		start := time.Now()
		<-time.NewTimer(12 * time.Millisecond).C
		return time.Since(start) - 12*time.Millisecond
	})
	verdict("after func", func() time.Duration {
		start, fired := time.Now(), make(chan time.Time)
		time.AfterFunc(12*time.Millisecond, func() { fired <- time.Now() })
		return (<-fired).Sub(start) - 12*time.Millisecond
	})
	verdict("many timers", func() time.Duration {
		start, worst := time.Now(), time.Duration(0)
		fired := make(chan time.Duration, 200)
		for i := 0; i < 200; i++ {
			wait := time.Duration(10+i%20) * time.Millisecond
			time.AfterFunc(wait, func() { fired <- time.Since(start) - wait })
		}
		for i := 0; i < 200; i++ {
			if late := <-fired; i == 100 {
				worst = late
			}
		}
		return worst
	})
	verdict("context deadline", func() time.Duration {
		deadline := time.Now().Add(15 * time.Millisecond)
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return time.Hour
		}
		return time.Since(deadline)
	})
	verdict("read deadline of a pipe", func() time.Duration {
		reader, writer, err := os.Pipe()
		if err != nil {
			fmt.Println(err)
			return time.Hour
		}
		defer reader.Close()
		defer writer.Close()
		deadline := time.Now().Add(15 * time.Millisecond)
		reader.SetReadDeadline(deadline)
		if _, err := reader.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			fmt.Println(err)
			return time.Hour
		}
		return time.Since(deadline)
	})
	ticker()
	stopped()
	monotonic()
	adjusted()
}

// ticker asks that ticks keep to the schedule: no drift. Single ones may be late, or left out, on a busy computer.
func ticker() {
	const period = 10 * time.Millisecond
	start := time.Now()
	ticks := time.NewTicker(period)
	for time.Since(start) > time.Millisecond { // somebody else ran in between
		start = time.Now()
		ticks.Reset(period)
	}
	late := period
	for i := 0; i < 40; i++ {
		if tick := <-ticks.C; i >= 20 {
			late = min(late, tick.Sub(start)%period)
		}
	}
	ticks.Stop()
	fmt.Println("ticker keeps its schedule:", late < 3*time.Millisecond)
}

func stopped() {
	fired := make(chan bool, 1)
	timer := time.AfterFunc(500*time.Millisecond, func() { fired <- true })
	fmt.Println("stopped in time:", timer.Stop())
	time.Sleep(530 * time.Millisecond)
	fmt.Println("fired all the same:", len(fired) == 1)
	timer.Reset(time.Millisecond)
	fmt.Println("fired after a reset:", <-fired)
}

// monotonic asks that neither clock goes backwards and that the wall clock is in this century's second quarter.
func monotonic() {
	last := time.Now()
	for i := 0; i < 10_000; i++ {
		now := time.Now()
		if now.Before(last) || now.UnixNano() < last.UnixNano() {
			fmt.Println("time went backwards")
			return
		}
		last = now
	}
	fmt.Println("wall clock is set:", last.Year() >= 2025 && last.Year() < 2100)
}

// adjusted asks what programs that watch clocks ask for; what a daemon has made of a clock may differ.
func adjusted() {
	var state syscall.Timex
	_, err := syscall.Adjtimex(&state)
	fmt.Println("clock:", err, state.Tick, state.Tolerance, state.Precision)
	fmt.Println("its time is now:", time.Since(time.Unix(state.Time.Sec, 0)).Abs() < time.Minute)
	state.Modes = 1 << 15
	_, err = syscall.Adjtimex(&state)
	fmt.Println("half of adjtime:", err)
}
