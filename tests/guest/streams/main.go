// Streams writes to both streams and reads standard input in the ways that its argument says.
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// interleaved writes every byte value to both streams, in pieces of growing sizes that take turns.
func interleaved(count int) {
	piece := make([]byte, 0, 1<<20)
	for turn := 0; turn < count; turn++ {
		piece = piece[:0]
		for i := 0; i < turn*turn+1; i++ {
			piece = append(piece, byte(turn+i))
		}
		_, err := os.Stdout.Write(piece)
		check(err)
		for i := range piece {
			piece[i] ^= 0xff
		}
		_, err = os.Stderr.Write(piece)
		check(err)
	}
}

// bulk writes so many bytes, and tells on the other stream how long it took.
func bulk(to, tell *os.File, size int) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	start := time.Now()
	for done := 0; done < size; done += len(data) {
		_, err := to.Write(data)
		check(err)
	}
	fmt.Fprintf(tell, "%d\n", time.Since(start).Milliseconds())
}

// digest tells how much came in, its hash, and how long it took from the first byte on.
func digest(wait time.Duration) {
	time.Sleep(wait)
	first := make([]byte, 1)
	count, err := io.ReadFull(os.Stdin, first)
	if err != io.EOF {
		check(err)
	}
	start := time.Now()
	hash := sha256.New()
	hash.Write(first[:count])
	rest, err := io.CopyBuffer(hash, struct{ io.Reader }{os.Stdin}, make([]byte, 1<<16))
	check(err)
	fmt.Printf("%d %x %d\n", int64(count)+rest, hash.Sum(nil), time.Since(start).Milliseconds())
}

func main() {
	number := 0
	if len(os.Args) > 2 {
		number, _ = strconv.Atoi(os.Args[2])
	}
	switch os.Args[1] {
	case "interleaved":
		interleaved(number)
	case "output":
		bulk(os.Stdout, os.Stderr, number)
	case "error":
		bulk(os.Stderr, os.Stdout, number)
	case "digest":
		digest(time.Duration(number) * time.Millisecond)
	case "discard":
		start := time.Now()
		count, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{os.Stdin}, make([]byte, 1<<16))
		check(err)
		fmt.Printf("%d %d\n", count, time.Since(start).Milliseconds())
	case "echo":
		_, err := io.CopyBuffer(struct{ io.Writer }{os.Stdout}, struct{ io.Reader }{os.Stdin}, make([]byte, 1<<16))
		check(err)
	}
}
