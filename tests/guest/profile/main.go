// Profile takes a CPU profile of itself: the interval timer must run and its signal must reach the thread that works.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"time"
)

//go:noinline
func hot(until time.Time) (n uint64) {
	for time.Now().Before(until) {
		for i := uint64(0); i < 100_000; i++ {
			n += n ^ i
		}
	}
	return n
}

func main() {
	for round := 0; round < 2; round++ {
		var profile bytes.Buffer
		if err := pprof.StartCPUProfile(&profile); err != nil {
			fmt.Println(err)
			return
		}
		hot(time.Now().Add(700 * time.Millisecond))
		pprof.StopCPUProfile()
		reader, err := gzip.NewReader(&profile)
		if err != nil {
			fmt.Println(err)
			return
		}
		data, err := io.ReadAll(reader)
		fmt.Println("profile read:", err, "names the hot function:", bytes.Contains(data, []byte("main.hot")))
		samples := bytes.Count(data, []byte{0x12}) // field 2, length-delimited: a sample (profile.proto)
		fmt.Println("several samples:", samples > 5)
	}
	// Without a profile the timer is off again: nothing may arrive.
	time.Sleep(30 * time.Millisecond)
	runtime.GC()
	fmt.Println("done")
}
