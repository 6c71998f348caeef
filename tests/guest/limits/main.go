// Limits turns the knobs of runtime/debug that reach the kernel: memory goes back to it and comes again.
package main

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"syscall"
)

var keep [][]byte

func fill(mebibytes int) {
	for i := 0; i < mebibytes; i++ {
		block := make([]byte, 1<<20)
		for j := 0; j < len(block); j += 4096 {
			block[j] = 1
		}
		keep = append(keep, block)
	}
}

func stats() (s runtime.MemStats) {
	runtime.ReadMemStats(&s)
	return s
}

func main() {
	fmt.Println("GC percent was", debug.SetGCPercent(25), "is", debug.SetGCPercent(50))
	fmt.Println("memory limit was unset:", debug.SetMemoryLimit(-1) == math.MaxInt64)
	for round := 0; round < 3; round++ {
		fill(32)
		held := stats().HeapReleased
		keep = nil
		debug.FreeOSMemory()
		fmt.Println("given back at least 24 MiB:", stats().HeapReleased-held >= 24<<20)
	}
	before := stats().NumGC
	debug.SetGCPercent(-1)
	fill(16)
	keep = nil
	fmt.Println("collections while off:", stats().NumGC-before)
	debug.SetMemoryLimit(24 << 20)
	for i := 0; i < 20; i++ {
		fill(4)
		keep = nil
	}
	fmt.Println("the limit made it collect:", stats().NumGC > before)
	fmt.Println("limits:", limit("address space", 9), limit("core", 4), limit("stack", 3))
	fmt.Println("threads limit:", debug.SetMaxThreads(2000))
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	fmt.Println("getrusage:", err, "time was used:", usage.Utime.Nano()+usage.Stime.Nano() > 0)
	fmt.Println("at least one processor:", runtime.NumCPU() >= 1)
}

// limit asks for one resource limit: an error is printed, a value is the machine's own affair.
func limit(name string, resource int) string {
	var value syscall.Rlimit
	if err := syscall.Getrlimit(resource, &value); err != nil {
		return name + ": " + err.Error()
	}
	return fmt.Sprint(name, ": soft at most hard: ", value.Cur <= value.Max)
}
