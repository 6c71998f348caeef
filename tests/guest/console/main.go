// Console does what programs do on the terminal that they were started from, as its argument says.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"
)

type termios struct {
	Input, Output, Control, Local uint32
	Line                          byte
	Characters                    [19]byte
}

func control(descriptor int, command uintptr, argument unsafe.Pointer) syscall.Errno {
	_, _, number := syscall.Syscall(syscall.SYS_IOCTL, uintptr(descriptor), command, uintptr(argument))
	return number
}

func size(descriptor int) string {
	var window [4]uint16
	control(descriptor, syscall.TIOCGWINSZ, unsafe.Pointer(&window))
	return fmt.Sprint(window[0], " ", window[1])
}

func describe() {
	for descriptor := 0; descriptor < 3; descriptor++ {
		var set termios
		if control(descriptor, syscall.TCGETS, unsafe.Pointer(&set)) != 0 {
			fmt.Println(descriptor, "no terminal")
			continue
		}
		link, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", descriptor))
		fmt.Println(descriptor, "terminal", link)
		if descriptor == 2 {
			fmt.Println(size(descriptor), os.Getenv("TERM"))
		}
	}
	fmt.Fprintln(os.Stderr, "end")
}

func lines() {
	fmt.Println("ready")
	scanner := bufio.NewScanner(os.Stdin)
	for scanner.Scan() {
		fmt.Printf("%q\n", scanner.Text())
	}
	fmt.Println("end")
}

func signals() {
	heard := make(chan os.Signal, 10)
	signal.Notify(heard, os.Interrupt, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGWINCH, syscall.SIGTERM)
	fmt.Println("ready")
	for each := range heard {
		if each == syscall.SIGWINCH {
			fmt.Println(each, size(0))
			continue
		}
		fmt.Println(each)
		if each == syscall.SIGTERM {
			os.Exit(7)
		}
	}
}

func raw(count int) {
	var set termios
	control(0, syscall.TCGETS, unsafe.Pointer(&set))
	set.Input, set.Output, set.Local = 0, 0, 0
	control(0, syscall.TCSETS, unsafe.Pointer(&set))
	fmt.Print("ready")
	for done := 0; done < count; {
		keys := make([]byte, 100)
		some, err := os.Stdin.Read(keys)
		if err != nil {
			panic(err)
		}
		os.Stdout.Write(keys[:some])
		done += some
	}
	fmt.Print("end")
}

func hangup() {
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	fmt.Println("ready")
	fmt.Println(<-heard)
}

func much() {
	writer := bufio.NewWriter(os.Stdout)
	for number := 0; number < 400_000; number++ {
		fmt.Fprintln(writer, number)
	}
	writer.Flush()
	fmt.Println("end")
}

func main() {
	if len(os.Args) == 1 {
		describe()
		return
	}
	switch os.Args[1] {
	case "describe":
		describe()
	case "lines":
		lines()
	case "signals":
		signals()
	case "raw":
		raw(256)
	case "deaf":
		signal.Ignore(os.Interrupt, syscall.SIGQUIT, syscall.SIGTERM)
		fmt.Print("ready")
		time.Sleep(time.Hour)
	case "hangup":
		hangup()
	case "much":
		much()
	}
}
