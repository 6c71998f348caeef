// Signals sends itself signals in every way a Go program can, and waits for signals from outside.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	switch os.Args[1] {
	case "self":
		self()
	case "outside":
		outside()
	case "outside-default":
		fmt.Println("ready")
		time.Sleep(time.Minute)
	case "die":
		die()
	}
}

func number() syscall.Signal {
	n := 0
	fmt.Sscan(os.Args[2], &n)
	return syscall.Signal(n)
}

// die ends the program by a signal: its default action is put back first, by the raw call, behind the runtime's back.
func die() {
	var action [4]uint64
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(number()), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); errno != 0 {
		fmt.Println("rt_sigaction:", errno)
	}
	fmt.Println("about to send", number())
	syscall.Kill(syscall.Getpid(), number())
	time.Sleep(20 * time.Millisecond)
	fmt.Println("survived")
}

func outside() {
	received := make(chan os.Signal, 4)
	signal.Notify(received, syscall.SIGTERM, syscall.SIGINT)
	fmt.Println("ready")
	select {
	case s := <-received:
		fmt.Println("received:", s)
		os.Exit(7)
	case <-time.After(time.Minute):
		fmt.Println("nothing came")
	}
}

func self() {
	received := make(chan os.Signal, 64)
	for _, s := range []syscall.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT, syscall.SIGCHLD,
		syscall.SIGPIPE, syscall.SIGWINCH, syscall.SIGALRM, syscall.SIGABRT, syscall.SIGSEGV, 40, 64,
	} {
		signal.Notify(received, s)
		if err := syscall.Kill(syscall.Getpid(), s); err != nil {
			fmt.Println("kill:", err)
		}
		fmt.Println("sent", int(s), "received", wait(received))
	}
	fmt.Println("kill with signal 0:", syscall.Kill(syscall.Getpid(), 0))
	fmt.Println("kill with signal 65:", syscall.Kill(syscall.Getpid(), 65))
	fmt.Println("kill of a process that is not there:", syscall.Kill(1<<22-1, syscall.SIGTERM))

	signal.Reset()
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
	syscall.Kill(syscall.Getpid(), syscall.SIGTERM)
	syscall.Kill(syscall.Getpid(), syscall.SIGHUP)
	fmt.Println("ignored:", signal.Ignored(syscall.SIGTERM), signal.Ignored(syscall.SIGINT))

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	syscall.Kill(syscall.Getpid(), syscall.SIGTERM)
	<-ctx.Done()
	fmt.Println("context:", ctx.Err())
	stop()

	thread()
	burst()
	interrupted()
	brokenPipe()
}

func wait(received chan os.Signal) os.Signal {
	select {
	case s := <-received:
		return s
	case <-time.After(10 * time.Second):
		return nil
	}
}

// thread sends to one thread by tgkill, to itself and to one that spins.
func thread() {
	received := make(chan os.Signal, 4)
	signal.Notify(received, syscall.SIGUSR1)
	runtime.LockOSThread()
	fmt.Println("tgkill of this thread:", tgkill(syscall.Getpid(), syscall.Gettid(), syscall.SIGUSR1), wait(received))
	runtime.UnlockOSThread()

	var stop atomic.Bool
	tid := make(chan int)
	go func() {
		runtime.LockOSThread()
		tid <- syscall.Gettid()
		for !stop.Load() {
		}
	}()
	fmt.Println("tgkill of a spinning thread:", tgkill(syscall.Getpid(), <-tid, syscall.SIGUSR1), wait(received))
	stop.Store(true)
	fmt.Println("tgkill of no thread:", tgkill(syscall.Getpid(), 1<<22-1, syscall.SIGUSR1))
	signal.Reset()
}

func tgkill(process, thread int, s syscall.Signal) syscall.Errno {
	_, _, errno := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(process), uintptr(thread), uintptr(s))
	return errno
}

// burst sends a thousand signals while goroutines allocate; standard signals may merge, so at least one must arrive.
func burst() {
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGUSR2)
	var stop atomic.Bool
	for i := 0; i < 4; i++ {
		go func() {
			for !stop.Load() {
				_ = make([]byte, 4096)
			}
		}()
	}
	for i := 0; i < 1000; i++ {
		syscall.Kill(syscall.Getpid(), syscall.SIGUSR2)
	}
	fmt.Println("burst:", wait(received))
	stop.Store(true)
	signal.Reset()
}

// interrupted sends a signal to a thread that is blocked in a read; the runtime asks for restart, so the read goes on.
func interrupted() {
	var ends [2]int
	if err := syscall.Pipe(ends[:]); err != nil {
		fmt.Println(err)
		return
	}
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGUSR1)
	tid, result := make(chan int), make(chan string)
	go func() {
		runtime.LockOSThread()
		tid <- syscall.Gettid()
		var data [8]byte
		n, err := syscall.Read(ends[0], data[:])
		result <- fmt.Sprint(n, " ", err)
	}()
	target := <-tid
	time.Sleep(5 * time.Millisecond)
	tgkill(syscall.Getpid(), target, syscall.SIGUSR1)
	fmt.Println("signal to a blocked reader:", wait(received))
	syscall.Write(ends[1], []byte("abc"))
	fmt.Println("the read went on:", <-result)
	signal.Reset()
}

func brokenPipe() {
	reader, writer, err := os.Pipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	reader.Close()
	_, err = writer.Write([]byte("x"))
	fmt.Println(err)
}
