// Terminals uses pseudo-terminals as shells and terminal emulators do, and prints what it finds: settings, both ends'
// ends, controlling terminals, signals of keys, jobs in the background, hang-ups.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

type termios struct {
	Input, Output, Control, Local uint32
	Line                          byte
	Characters                    [19]byte
}

type window struct{ rows, columns, width, height uint16 }

const (
	tiocsptlck  = 0x40045431
	tiocgptn    = 0x80045430
	tiocgptpeer = 0x5441
	tiocpkt     = 0x5420
	tiocgsid    = 0x5429
	tcflsh      = 0x540b
)

func ioctl(file *os.File, command uintptr, argument unsafe.Pointer) error {
	return ioctlNumber(file, command, uintptr(argument))
}

func ioctlNumber(file *os.File, command, argument uintptr) error {
	_, _, number := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), command, argument)
	if number != 0 {
		return number
	}
	return nil
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// open makes a pair: its master, its terminal and that one's path.
func open() (*os.File, *os.File, string) {
	number, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	check(err)
	master := os.NewFile(uintptr(number), "/dev/ptmx")
	var index, zero int32
	check(ioctl(master, tiocgptn, unsafe.Pointer(&index)))
	path := fmt.Sprintf("/dev/pts/%d", index)
	_, err = os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0)
	fmt.Println("locked:", errors.Is(err, syscall.EIO))
	check(ioctl(master, tiocsptlck, unsafe.Pointer(&zero)))
	return master, openTerminal(path), path
}

func openTerminal(path string) *os.File {
	number, err := syscall.Open(path, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	check(err)
	return os.NewFile(uintptr(number), path)
}

func read(file *os.File) string {
	buffer := make([]byte, 4096)
	count, err := syscall.Read(int(file.Fd()), buffer)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%q", buffer[:count])
}

// exactly reads so many bytes: on Linux what was written to one end comes to the other in pieces, from a work queue.
func exactly(file *os.File, count int) string {
	buffer := make([]byte, count)
	for have := 0; have < count; {
		more, err := syscall.Read(int(file.Fd()), buffer[have:])
		if err != nil || more == 0 {
			return fmt.Sprintf("%q, then %v", buffer[:have], err)
		}
		have += more
	}
	return fmt.Sprintf("%q", buffer)
}

// until reads what a terminal shows up to a text, and nothing behind that.
func until(master *os.File, text string) string {
	shown := ""
	for !strings.HasSuffix(shown, text) {
		var buffer [1]byte
		if _, err := syscall.Read(int(master.Fd()), buffer[:]); err != nil {
			return fmt.Sprintf("%q, then %v", shown, err)
		}
		shown += string(buffer[:])
	}
	return fmt.Sprintf("%q", shown)
}

func write(file *os.File, text string) {
	count, err := syscall.Write(int(file.Fd()), []byte(text))
	if err != nil || count != len(text) {
		fmt.Println("write:", count, err)
	}
}

type request struct {
	descriptor      int32
	events, results uint16
}

func poll(file *os.File) string {
	wanted := request{int32(file.Fd()), 0x1 | 0x2 | 0x4, 0}
	syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&wanted)), 1, uintptr(unsafe.Pointer(&[2]int64{})), 0, 0, 0)
	return fmt.Sprintf("%#x", wanted.results)
}

func both() {
	master, terminal, path := open()
	var set termios
	check(ioctl(terminal, syscall.TCGETS, unsafe.Pointer(&set)))
	fmt.Printf("%x %x %x %x %d %v\n", set.Input, set.Output, set.Control, set.Local, set.Line, set.Characters)
	status, err := os.Stat(path)
	check(err)
	stat := status.Sys().(*syscall.Stat_t)
	fmt.Println(status.Mode().Type(), stat.Rdev>>8, fmt.Sprintf("/dev/pts/%d", stat.Rdev&0xff) == path, stat.Uid)
	link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", terminal.Fd()))
	fmt.Println("named:", link == path)
	fmt.Println(poll(master), poll(terminal))
	write(terminal, "one\ntwo\n")
	fmt.Println(poll(master), until(master, "two\r\n"))
	write(master, "typed\x7f\x7fe\rmore\x04")
	fmt.Println(poll(terminal), read(terminal), read(terminal), until(master, "more"))
	write(master, "\x04")
	fmt.Println(read(terminal))
	fmt.Println(ioctl(terminal, syscall.TIOCSWINSZ, unsafe.Pointer(&window{40, 100, 5, 6})))
	var size window
	fmt.Println(ioctl(master, syscall.TIOCGWINSZ, unsafe.Pointer(&size)), size)
	var group int32
	fmt.Println(ioctl(terminal, syscall.TIOCGPGRP, unsafe.Pointer(&group)))
	fmt.Println(ioctl(terminal, tiocgsid, unsafe.Pointer(&group)))
	fmt.Println(ioctl(master, syscall.TIOCGPGRP, unsafe.Pointer(&group)), group)
	fmt.Println(ioctlNumber(terminal, syscall.TIOCNOTTY, 0))
	fmt.Println(ioctlNumber(terminal, 0x1234, 0))
	raw(master, terminal)
	packets(master, terminal)
	peer(master)
	terminal.Close()
	fmt.Println("closed:", poll(master), read(master))
	terminal = openTerminal(path)
	write(terminal, "again")
	fmt.Println(poll(master), until(master, "again"))
	write(terminal, "last")
	terminal.Close()
	fmt.Println(poll(master), until(master, "last"), read(master))
	terminal = openTerminal(path)
	write(terminal, "never seen")
	master.Close()
	_, err = syscall.Write(int(terminal.Fd()), []byte("x"))
	fmt.Println("hung up:", poll(terminal), read(terminal), err, ioctl(terminal, syscall.TCGETS, unsafe.Pointer(&set)))
	_, err = os.Stat(path)
	fmt.Println(errors.Is(err, os.ErrNotExist))
}

func raw(master, terminal *os.File) {
	var set, before termios
	check(ioctl(terminal, syscall.TCGETS, unsafe.Pointer(&before)))
	set = before
	set.Input, set.Output, set.Local = 0, 0, 0
	check(ioctl(terminal, syscall.TCSETS, unsafe.Pointer(&set)))
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	write(master, string(all))
	fmt.Println(exactly(terminal, len(all)) == fmt.Sprintf("%q", all))
	write(terminal, string(all))
	fmt.Println(exactly(master, len(all)) == fmt.Sprintf("%q", all))
	set.Characters[syscall.VMIN], set.Characters[syscall.VTIME] = 0, 2
	check(ioctl(terminal, syscall.TCSETS, unsafe.Pointer(&set)))
	start := time.Now()
	fmt.Println(read(terminal), time.Since(start) > 150*time.Millisecond)
	set.Characters[syscall.VMIN], set.Characters[syscall.VTIME] = 5, 0
	check(ioctl(terminal, syscall.TCSETS, unsafe.Pointer(&set)))
	go func() {
		write(master, "123")
		time.Sleep(50 * time.Millisecond)
		fmt.Println(poll(terminal))
		write(master, "456")
	}()
	fmt.Println(read(terminal))
	set.Characters[syscall.VTIME] = 1
	check(ioctl(terminal, syscall.TCSETS, unsafe.Pointer(&set)))
	write(master, "ab")
	fmt.Println(read(terminal))
	check(ioctl(terminal, syscall.TCSETS, unsafe.Pointer(&before)))
}

func packets(master, terminal *os.File) {
	on, off := int32(1), int32(0)
	check(ioctl(master, tiocpkt, unsafe.Pointer(&on)))
	write(terminal, "in a packet")
	fmt.Println(read(master))
	ioctlNumber(terminal, tcflsh, 2)
	fmt.Println(poll(master), read(master))
	check(ioctl(master, tiocpkt, unsafe.Pointer(&off)))
}

func peer(master *os.File) {
	number, _, code := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), tiocgptpeer, syscall.O_RDWR|syscall.O_NOCTTY)
	fmt.Println("peer:", code)
	terminal := os.NewFile(number, "peer")
	write(terminal, "peer\n")
	fmt.Println(until(master, "\r\n"))
	terminal.Close()
}

// session starts this program once more as the leader of a session on a terminal.
func session(master, terminal *os.File, words ...string) *exec.Cmd {
	command := exec.Command(os.Args[0], words...)
	command.Stdin, command.Stdout, command.Stderr = terminal, terminal, terminal
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(command.Start())
	terminal.Close()
	return command
}

func sessions() {
	master, terminal, _ := open()
	leader := session(master, terminal, "leader")
	fmt.Println(until(master, "ready\r\n"))
	write(master, "\x03")
	fmt.Println(until(master, "interrupt\r\n"))
	check(ioctl(master, syscall.TIOCSWINSZ, unsafe.Pointer(&window{10, 20, 0, 0})))
	fmt.Println(until(master, "window changed\r\n"))
	write(master, "\x1c")
	fmt.Println(until(master, "quit\r\n"))
	var front int32
	check(ioctl(master, syscall.TIOCGPGRP, unsafe.Pointer(&front)))
	fmt.Println("in front:", int(front) == leader.Process.Pid)
	write(master, "go on\n")
	fmt.Println(until(master, "done\r\n"))
	fmt.Println(leader.Wait())
	fmt.Println(read(master), read(master))
	master.Close()

	master, terminal, _ = open()
	leader = session(master, terminal, "hangup")
	until(master, "ready\r\n")
	master.Close()
	fmt.Println(leader.Wait())

	master, terminal, _ = open()
	leader = session(master, terminal, "leaves")
	fmt.Println(until(master, "told: hangup\r\n"))
	fmt.Println(leader.Wait())
}

func leader() {
	heard := make(chan os.Signal, 10)
	signal.Notify(heard, os.Interrupt, syscall.SIGWINCH, syscall.SIGQUIT)
	var group, id int32
	fmt.Println(ioctl(os.Stdin, syscall.TIOCGPGRP, unsafe.Pointer(&group)), int(group) == os.Getpid())
	fmt.Println(ioctl(os.Stdin, tiocgsid, unsafe.Pointer(&id)), int(id) == os.Getpid())
	own, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	check(err)
	fmt.Fprintln(own, "by /dev/tty")
	other := int32(os.Getppid())
	fmt.Println(ioctl(os.Stdin, syscall.TIOCSPGRP, unsafe.Pointer(&other)))
	background()
	fmt.Println("ready")
	for i := 0; i < 3; i++ {
		fmt.Println("heard", <-heard)
	}
	line := make([]byte, 100)
	count, err := os.Stdin.Read(line)
	fmt.Printf("%q %v\n", line[:count], err)
	fmt.Println("done")
}

// background has a child in a group of its own read the terminal, which stops it until it is put in front.
func background() {
	child := exec.Command(os.Args[0], "reader")
	child.Stdin, child.Stdout = os.Stdin, os.Stdout
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(child.Start())
	var status syscall.WaitStatus
	_, err := syscall.Wait4(child.Process.Pid, &status, syscall.WUNTRACED, nil)
	fmt.Println("child:", err, status.Stopped(), status.StopSignal())
	signal.Ignore(syscall.SIGTTOU)
	front := int32(child.Process.Pid)
	check(ioctl(os.Stdin, syscall.TIOCSPGRP, unsafe.Pointer(&front)))
	check(syscall.Kill(-child.Process.Pid, syscall.SIGKILL))
	_, err = syscall.Wait4(child.Process.Pid, &status, 0, nil)
	fmt.Println("child:", err, status.Signaled(), status.Signal())
	fmt.Println("in the background:", read(os.Stdin))
	front = int32(os.Getpid())
	fmt.Println(ioctl(os.Stdin, syscall.TIOCSPGRP, unsafe.Pointer(&front)))
}

func hangup() {
	heard := make(chan os.Signal, 10)
	signal.Notify(heard, syscall.SIGHUP)
	fmt.Println("ready")
	if <-heard == syscall.SIGHUP {
		os.Exit(42)
	}
}

// leaves ends as the leader of a session; a child in front that stays behind hears of it.
func leaves() {
	child := exec.Command(os.Args[0], "stays")
	child.Stdin, child.Stdout = os.Stdin, os.Stdout
	reader, writer, err := os.Pipe()
	check(err)
	child.ExtraFiles = []*os.File{writer}
	check(child.Start())
	writer.Close()
	io.ReadFull(reader, make([]byte, 1))
}

func stays() {
	heard := make(chan os.Signal, 10)
	signal.Notify(heard, syscall.SIGHUP)
	os.NewFile(3, "ready").Write([]byte("x"))
	fmt.Println("told:", <-heard)
}

func main() {
	if len(os.Args) == 1 {
		both()
		sessions()
		return
	}
	switch os.Args[1] {
	case "leader":
		leader()
	case "reader":
		fmt.Println(read(os.Stdin))
	case "hangup":
		hangup()
	case "leaves":
		leaves()
	case "stays":
		stays()
	}
}
