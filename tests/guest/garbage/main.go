// Garbage churns through several hundred MiB of short-lived memory around a live tree, as a server does, and checks
// that no live byte was lost. It runs in a 64 MiB machine.
package main

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"sync"
)

type node struct {
	left, right *node
	payload     []byte
}

func grow(depth int, seed byte) *node {
	n := &node{payload: make([]byte, 64)}
	for i := range n.payload {
		n.payload[i] = seed + byte(i)
	}
	if depth > 0 {
		n.left = grow(depth-1, seed*3+1)
		n.right = grow(depth-1, seed*5+2)
	}
	return n
}

func (n *node) sum() uint64 {
	if n == nil {
		return 0
	}
	h := fnv.New64a()
	h.Write(n.payload)
	return h.Sum64() + 3*n.left.sum() + 7*n.right.sum()
}

// churn allocates about `mebibytes` of blocks between 16 bytes and 128 KiB, keeping the last few alive.
func churn(mebibytes int, seed uint32) uint64 {
	var recent [32][]byte
	total, check := 0, uint64(0)
	for i := 0; total < mebibytes<<20; i++ {
		seed = seed*1664525 + 1013904223
		size := 16 << (seed >> 29) << (i % 7)
		block := make([]byte, size)
		for _, b := range block[:16] {
			check += uint64(b) // fresh memory is zero
		}
		block[0], block[size-1] = 1, 2
		recent[i%len(recent)] = block
		total += size
	}
	return check
}

func main() {
	tree := grow(13, 1)
	before := tree.sum()
	var done sync.WaitGroup
	var dirty [4]uint64
	for worker := range dirty {
		done.Add(1)
		go func(worker int) {
			defer done.Done()
			dirty[worker] = churn(100, uint32(worker))
		}(worker)
	}
	done.Wait()
	fmt.Println("fresh memory was zero:", dirty == [4]uint64{})
	fmt.Println("live tree kept:", tree.sum() == before)
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("allocated at least 400 MiB:", stats.TotalAlloc >= 400<<20)
	fmt.Println("collected at least 10 times:", stats.NumGC >= 10)
}
