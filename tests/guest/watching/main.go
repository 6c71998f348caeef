// Watching waits for files, timers and signals by descriptors: inotify, timerfd, signalfd, through epoll and read.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	timerfdCreate  = 283
	timerfdSettime = 286
	timerfdGettime = 287
	signalfd4      = 289
)

func check(what string, err error) {
	if err != nil {
		fmt.Println(what, "failed:", err)
	}
}

func call(number uintptr, arguments ...uintptr) (int, error) {
	var six [6]uintptr
	copy(six[:], arguments)
	result, _, errno := syscall.Syscall6(number, six[0], six[1], six[2], six[3], six[4], six[5])
	if errno != 0 {
		return -1, errno
	}
	return int(result), nil
}

func main() {
	files()
	timers()
	signals()
	waiters()
}

func files() {
	top, err := os.MkdirTemp("", "watching")
	check("MkdirTemp", err)
	defer os.RemoveAll(top)
	watcher, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	check("InotifyInit1", err)
	defer syscall.Close(watcher)
	number, err := syscall.InotifyAddWatch(watcher, top, syscall.IN_ALL_EVENTS)
	fmt.Println("watch", number, err)
	done := make(chan bool)
	go func() {
		time.Sleep(20 * time.Millisecond)
		check("WriteFile", os.WriteFile(top+"/one", []byte("1"), 0o644))
		check("Rename", os.Rename(top+"/one", top+"/two"))
		check("Mkdir", os.Mkdir(top+"/folder", 0o755))
		check("Chmod", os.Chmod(top+"/two", 0o600))
		check("Remove", os.Remove(top+"/two"))
		check("Remove", os.Remove(top+"/folder"))
		check("Remove", os.Remove(top))
		done <- true
	}()
	buffer := make([]byte, 8192)
	ended := false
	for !ended {
		count, err := syscall.Read(watcher, buffer)
		if err != nil {
			fmt.Println(err)
			break
		}
		for at := 0; at < count; {
			event := (*syscall.InotifyEvent)(unsafe.Pointer(&buffer[at]))
			name := strings.TrimRight(string(buffer[at+16:at+16+int(event.Len)]), "\x00")
			half := "alone"
			if event.Cookie != 0 {
				half = "half"
			}
			fmt.Printf("%d %#x %s %q\n", event.Wd, event.Mask, half, name)
			at += 16 + int(event.Len)
			ended = ended || event.Mask&syscall.IN_IGNORED != 0
		}
	}
	<-done
}

type timerSpec struct {
	interval, value syscall.Timespec
}

func timers() {
	timer, err := call(timerfdCreate, 1, syscall.O_CLOEXEC)
	check("timerfd_create", err)
	defer syscall.Close(timer)
	poller, _ := syscall.EpollCreate1(0)
	defer syscall.Close(poller)
	check("EpollCtl", syscall.EpollCtl(poller, syscall.EPOLL_CTL_ADD, timer, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: 7}))
	spec := timerSpec{syscall.NsecToTimespec(10e6), syscall.NsecToTimespec(30e6)}
	start := time.Now()
	_, err = call(timerfdSettime, uintptr(timer), 0, uintptr(unsafe.Pointer(&spec)), 0)
	check("timerfd_settime", err)
	events := make([]syscall.EpollEvent, 4)
	count, err := syscall.EpollWait(poller, events, -1)
	fmt.Println(count, err, events[0].Fd, time.Since(start) >= 30*time.Millisecond)
	var number [8]byte
	_, err = syscall.Read(timer, number[:])
	fmt.Println("expired:", binary.LittleEndian.Uint64(number[:]) >= 1, err)
	time.Sleep(35 * time.Millisecond)
	_, err = syscall.Read(timer, number[:])
	fmt.Println("several times:", binary.LittleEndian.Uint64(number[:]) >= 3, err)
	var left timerSpec
	_, err = call(timerfdGettime, uintptr(timer), uintptr(unsafe.Pointer(&left)))
	fmt.Println(left.interval.Nano(), left.value.Nano() > 0 && left.value.Nano() <= 10e6, err)
	off := timerSpec{}
	_, err = call(timerfdSettime, uintptr(timer), 0, uintptr(unsafe.Pointer(&off)), uintptr(unsafe.Pointer(&left)))
	fmt.Println(left.interval.Nano(), err)
	syscall.SetNonblock(timer, true)
	_, err = syscall.Read(timer, number[:])
	fmt.Println(err)
	_, err = call(timerfdCreate, 5, 0)
	fmt.Println(err)
	_, err = call(timerfdSettime, 0, 0, uintptr(unsafe.Pointer(&off)), 0)
	fmt.Println(err)
}

func signals() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mask := uint64(1) << (syscall.SIGUSR1 - 1)
	_, err := call(syscall.SYS_RT_SIGPROCMASK, 0, uintptr(unsafe.Pointer(&mask)), 0, 8)
	check("rt_sigprocmask", err)
	descriptor, err := call(signalfd4, ^uintptr(0), uintptr(unsafe.Pointer(&mask)), 8, syscall.O_NONBLOCK)
	check("signalfd4", err)
	defer syscall.Close(descriptor)
	record := make([]byte, 256)
	_, err = syscall.Read(descriptor, record)
	fmt.Println(err)
	thread := syscall.Gettid()
	check("Tgkill", tgkill(thread, syscall.SIGUSR1))
	count, err := syscall.Read(descriptor, record)
	fmt.Println(count, err, binary.LittleEndian.Uint32(record), int32(binary.LittleEndian.Uint32(record[8:])))
	fmt.Println(int(binary.LittleEndian.Uint32(record[12:])) == os.Getpid())
	syscall.SetNonblock(descriptor, false)
	go func() {
		time.Sleep(20 * time.Millisecond)
		check("Tgkill", tgkill(thread, syscall.SIGUSR1))
	}()
	count, err = syscall.Read(descriptor, record)
	fmt.Println(count, err, binary.LittleEndian.Uint32(record))
	_, err = call(syscall.SYS_RT_SIGPROCMASK, 1, uintptr(unsafe.Pointer(&mask)), 0, 8)
	check("rt_sigprocmask", err)
}

func tgkill(thread int, signal syscall.Signal) error {
	_, err := call(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(thread), uintptr(signal))
	return err
}

// waiters have one lock after the other on one file.
func waiters() {
	name := fmt.Sprintf("/tmp/waiters-%d", os.Getpid())
	defer os.Remove(name)
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for round := 0; round < 20; round++ {
				file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
				check("OpenFile", err)
				if worker%2 == 0 {
					check("Flock", syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
				} else {
					lock := syscall.Flock_t{Type: syscall.F_WRLCK}
					check("FcntlFlock", syscall.FcntlFlock(file.Fd(), 38, &lock))
				}
				file.Close()
			}
		}(worker)
	}
	group.Wait()
	fmt.Println("all had their locks")
}
