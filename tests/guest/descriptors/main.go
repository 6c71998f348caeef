// Descriptors drives pipes, epoll, eventfd, dup and fcntl by the calls that the runtime's poller and C libraries make.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const sysEventfd2 = 290

func main() {
	pipes()
	polled()
	event()
	duplicated()
	refused()
	vectors()
	large()
}

func pipes() {
	var ends [2]int
	fmt.Println("pipe2:", syscall.Pipe2(ends[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC))
	var data [100]byte
	_, err := syscall.Read(ends[0], data[:])
	fmt.Println("read of an empty pipe:", err)
	total := 0
	for {
		n, err := syscall.Write(ends[1], make([]byte, 4096))
		if err != nil {
			fmt.Println("write to a full pipe:", err, "after", total)
			break
		}
		total += n
	}
	for total > 0 {
		n, err := syscall.Read(ends[0], make([]byte, 10_000))
		if err != nil {
			fmt.Println(err)
			return
		}
		total -= n
	}
	n, err := syscall.Write(ends[1], nil)
	fmt.Println("write of nothing:", n, err)
	syscall.Close(ends[1])
	n, err = syscall.Read(ends[0], data[:])
	fmt.Println("read without writers:", n, err)
	fmt.Println("close:", syscall.Close(ends[0]), "again:", syscall.Close(ends[0]))
}

// polled uses the runtime's own poller: blocking reads that a deadline or a close ends.
func polled() {
	reader, writer, err := os.Pipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	results := make(chan error)
	go func() {
		_, err := reader.Read(make([]byte, 1))
		results <- err
	}()
	time.Sleep(2 * time.Millisecond)
	reader.Close()
	fmt.Println("closed under a reader:", errors.Is(<-results, os.ErrClosed))
	writer.Close()

	reader, writer, _ = os.Pipe()
	reader.SetReadDeadline(time.Now().Add(3 * time.Millisecond))
	_, err = reader.Read(make([]byte, 1))
	fmt.Println("deadline:", errors.Is(err, os.ErrDeadlineExceeded))
	reader.SetReadDeadline(time.Time{})
	go func() { time.Sleep(time.Millisecond); writer.Write([]byte("late")); writer.Close() }()
	data, err := io.ReadAll(reader)
	fmt.Printf("after the deadline was lifted: %q %v\n", data, err)
	reader.Close()

	poll, err := syscall.EpollCreate1(0)
	fmt.Println("epoll:", err)
	var ends [2]int
	syscall.Pipe(ends[:])
	read := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(ends[0])}
	fmt.Println("add:", syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, ends[0], &read), "again:", syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, ends[0], &read))
	events := make([]syscall.EpollEvent, 4)
	n, err := syscall.EpollWait(poll, events, 0)
	fmt.Println("nothing ready:", n, err)
	start := time.Now()
	n, err = syscall.EpollWait(poll, events, 10)
	fmt.Println("waited:", n, err, time.Since(start) >= 10*time.Millisecond)
	syscall.Write(ends[1], []byte("x"))
	n, err = syscall.EpollWait(poll, events, -1)
	fmt.Println("ready:", n, err, events[0].Events, events[0].Fd == int32(ends[0]))
	n, _ = syscall.EpollWait(poll, events, 0)
	fmt.Println("level triggered, still ready:", n)
	edge := syscall.EpollEvent{Events: syscall.EPOLLIN | 1<<31, Fd: 7}
	fmt.Println("to edges:", syscall.EpollCtl(poll, syscall.EPOLL_CTL_MOD, ends[0], &edge))
	n, _ = syscall.EpollWait(poll, events, 0)
	m, _ := syscall.EpollWait(poll, events, 0)
	fmt.Println("edge triggered, once:", n, m, events[0].Fd)
	syscall.Close(ends[1])
	n, _ = syscall.EpollWait(poll, events, 0)
	fmt.Println("writer gone:", n, events[0].Events)
	fmt.Println("del:", syscall.EpollCtl(poll, syscall.EPOLL_CTL_DEL, ends[0], nil), "again:", syscall.EpollCtl(poll, syscall.EPOLL_CTL_DEL, ends[0], nil))
	fmt.Println("add of no file:", syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, 999, &read), "of itself:", syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, poll, &read))
	_, err = syscall.EpollWait(ends[0], events, 0)
	fmt.Println("wait on a pipe:", err)
	_, _, errno := syscall.Syscall6(syscall.SYS_EPOLL_WAIT, uintptr(poll), uintptr(unsafe.Pointer(&events[0])), 0, 0, 0, 0)
	fmt.Println("room for no event:", errno)
}

func event() {
	fd, _, errno := syscall.Syscall(sysEventfd2, 3, syscall.O_NONBLOCK, 0)
	fmt.Println("eventfd:", errno)
	value := make([]byte, 8)
	n, err := syscall.Read(int(fd), value)
	fmt.Println("read", n, err, value)
	_, err = syscall.Read(int(fd), value)
	fmt.Println("read at zero:", err)
	n, err = syscall.Write(int(fd), []byte{255, 255, 255, 255, 255, 255, 255, 255})
	fmt.Println("write of the largest:", n, err)
	n, err = syscall.Write(int(fd), []byte{254, 255, 255, 255, 255, 255, 255, 255})
	fmt.Println("write up to the limit:", n, err)
	_, err = syscall.Write(int(fd), []byte{1, 0, 0, 0, 0, 0, 0, 0})
	fmt.Println("write beyond the limit:", err)
	_, err = syscall.Read(int(fd), value[:4])
	fmt.Println("short read:", err)
}

func duplicated() {
	var ends [2]int
	syscall.Pipe(ends[:])
	copied, err := syscall.Dup(ends[1])
	fmt.Println("dup:", err, copied > ends[1])
	fmt.Println("dup3 to itself:", syscall.Dup3(copied, copied, 0))
	fmt.Println("dup2 to itself:", syscall.Dup2(copied, copied))
	fmt.Println("dup2 far up:", syscall.Dup2(copied, 200))
	fmt.Println("dup2 too far up:", syscall.Dup2(copied, 1<<30))
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, 200, syscall.F_GETFL, 0)
	fmt.Println("F_GETFL:", flags, errno)
	syscall.SetNonblock(200, true)
	flags, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(ends[1]), syscall.F_GETFL, 0)
	fmt.Println("a flag of the description is shared:", flags&syscall.O_NONBLOCK != 0)
	flags, _, _ = syscall.Syscall(syscall.SYS_FCNTL, 200, syscall.F_GETFD, 0)
	syscall.CloseOnExec(200)
	after, _, _ := syscall.Syscall(syscall.SYS_FCNTL, 200, syscall.F_GETFD, 0)
	fmt.Println("close on exec:", flags, after)
	high, _, errno := syscall.Syscall(syscall.SYS_FCNTL, 200, syscall.F_DUPFD, 300)
	fmt.Println("F_DUPFD:", high, errno)
	syscall.Close(ends[1])
	syscall.Close(copied)
	syscall.Close(200)
	syscall.Write(int(high), []byte("through the last copy"))
	data := make([]byte, 100)
	n, _ := syscall.Read(ends[0], data)
	fmt.Printf("%q\n", data[:n])
}

func refused() {
	_, err := syscall.Read(1000, make([]byte, 1))
	fmt.Println("read of no file:", err)
	_, err = syscall.Read(-1, make([]byte, 1))
	fmt.Println("read of -1:", err)
	_, _, errno := syscall.Syscall(syscall.SYS_WRITE, 1, 4096, 10)
	fmt.Println("write from nowhere:", errno)
	_, _, errno = syscall.Syscall(syscall.SYS_WRITE, 1, 1<<63, 10)
	fmt.Println("write from the kernel's half:", errno)
	_, _, errno = syscall.Syscall(syscall.SYS_PIPE, 8, 0, 0)
	fmt.Println("pipe to nowhere:", errno)
	_, err = syscall.Seek(1, 0, 9)
	fmt.Println("seek with no such whence:", err)
	_, _, errno = syscall.Syscall(900, 1, 2, 3)
	fmt.Println("no such call:", errno)
	_, _, errno = syscall.Syscall(syscall.SYS_FCNTL, 1, 9999, 0)
	fmt.Println("no such fcntl:", errno)
	var ends [2]int
	syscall.Pipe(ends[:])
	_, err = syscall.Write(ends[0], []byte("x"))
	fmt.Println("write to a reading end:", err)
	_, err = syscall.Read(ends[1], make([]byte, 1))
	fmt.Println("read of a writing end:", err)
	_, err = syscall.Seek(ends[0], 0, 0)
	fmt.Println("seek of a pipe:", err)
	_, err = syscall.Pread(ends[0], make([]byte, 1), 0)
	fmt.Println("pread of a pipe:", err)
}

func vectors() {
	var ends [2]int
	syscall.Pipe(ends[:])
	parts := [][]byte{[]byte("one, "), {}, []byte("two, "), []byte("three")}
	var list [4]syscall.Iovec
	for i, part := range parts {
		if len(part) > 0 {
			list[i].Base = &part[0]
		}
		list[i].Len = uint64(len(part))
	}
	n, _, errno := syscall.Syscall(syscall.SYS_WRITEV, uintptr(ends[1]), uintptr(unsafe.Pointer(&list)), 4)
	fmt.Println("writev:", n, errno)
	data := make([]byte, 15)
	list[0] = syscall.Iovec{Base: &data[8], Len: 7}
	list[1] = syscall.Iovec{Base: &data[0], Len: 8}
	n, _, errno = syscall.Syscall(syscall.SYS_READV, uintptr(ends[0]), uintptr(unsafe.Pointer(&list)), 2)
	fmt.Printf("readv: %d %v %q\n", n, errno, data)
	_, _, errno = syscall.Syscall(syscall.SYS_READV, uintptr(ends[0]), uintptr(unsafe.Pointer(&list)), 2000)
	fmt.Println("too many parts:", errno)
}

// large pushes a megabyte through one pipe with several writers, then a long text to standard output.
func large() {
	reader, writer, err := os.Pipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	var writers sync.WaitGroup
	for i := 0; i < 4; i++ {
		writers.Add(1)
		go func(i int) {
			defer writers.Done()
			block := make([]byte, 3000) // at most PIPE_BUF is written as one
			for j := range block {
				block[j] = byte('a' + i)
			}
			for j := 0; j < 100; j++ {
				writer.Write(block)
			}
		}(i)
	}
	go func() { writers.Wait(); writer.Close() }()
	block, broken, total := make([]byte, 3000), 0, 0
	for {
		n, err := io.ReadFull(reader, block)
		total += n
		if err != nil {
			break
		}
		for _, c := range block[1:] {
			if c != block[0] {
				broken++
				break
			}
		}
	}
	fmt.Println("through the pipe:", total, "torn writes:", broken)
	for i := 0; i < 400; i++ {
		fmt.Printf("%4d the quick brown fox jumps over the lazy dog\n", i)
	}
}
