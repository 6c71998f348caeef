// Where did the time go? A program computes, then has the kernel work for it, then lets a child compute, and looks each
// time whether getrusage, times, wait4 and /proc tell whose time it was.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func spent(who int) (user, system time.Duration) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(who, &usage); err != nil {
		fmt.Println("getrusage:", err)
	}
	return time.Duration(usage.Utime.Nano()), time.Duration(usage.Stime.Nano())
}

// compute uses this much processor time for itself, by the clock of its own processor time.
func compute(much time.Duration) uint64 {
	user, _ := spent(syscall.RUSAGE_SELF)
	sum := uint64(1)
	for {
		for i := uint64(0); i < 2_000_000; i++ {
			sum = sum*6364136223846793005 + i
		}
		now, _ := spent(syscall.RUSAGE_SELF)
		if now-user >= much {
			return sum
		}
	}
}

// serve has the kernel work for this much processor time, clearing and copying memory.
func serve(much time.Duration) {
	file, err := os.Open("/dev/zero")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	buffer := make([]byte, 4<<20)
	_, system := spent(syscall.RUSAGE_SELF)
	for begun := time.Now(); time.Since(begun) < 20*time.Second; {
		file.Read(buffer)
		if _, now := spent(syscall.RUSAGE_SELF); now-system >= much {
			return
		}
	}
	fmt.Println("the kernel's time never came")
}

func fields(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		fmt.Println(err)
		return nil
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return strings.Fields(after)
}

func ticks(text string) time.Duration {
	value, _ := strconv.Atoi(text)
	return time.Duration(value) * 10 * time.Millisecond
}

func processorTicks() (user, system, idle time.Duration) {
	text, _ := os.ReadFile("/proc/stat")
	columns := strings.Fields(string(text))
	return ticks(columns[1]), ticks(columns[3]), ticks(columns[4])
}

func counted(name string) (value int) {
	text, _ := os.ReadFile("/proc/self/io")
	for _, line := range strings.Split(string(text), "\n") {
		if rest, found := strings.CutPrefix(line, name+": "); found {
			value, _ = strconv.Atoi(rest)
		}
	}
	return value
}

// interval is struct itimerval.
type interval struct{ again, left syscall.Timeval }

const virtual, profiling = 1, 2 // ITIMER_

func setTimer(which int, left time.Duration) {
	setting := interval{left: syscall.NsecToTimeval(int64(left))}
	syscall.Syscall(syscall.SYS_SETITIMER, uintptr(which), uintptr(unsafe.Pointer(&setting)), 0)
}

// used says how much of an hour, to which the timer was set, is over.
func used(which int) time.Duration {
	var setting interval
	syscall.Syscall(syscall.SYS_GETITIMER, uintptr(which), uintptr(unsafe.Pointer(&setting)), 0)
	return time.Hour - time.Duration(setting.left.Nano())
}

func intervalTimers() {
	setTimer(virtual, time.Hour)
	setTimer(profiling, time.Hour)
	serve(300 * time.Millisecond)
	fmt.Println("serving moves the profiling timer alone:", used(profiling) > 250*time.Millisecond, used(virtual)*2 < used(profiling))
	before := used(virtual)
	compute(300 * time.Millisecond)
	fmt.Println("computing moves both:", used(virtual)-before > 150*time.Millisecond, used(profiling) > 500*time.Millisecond)
	setTimer(profiling, 0)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGVTALRM)
	setTimer(virtual, 50*time.Millisecond)
	for tries := 0; tries < 100 && len(signals) == 0; tries++ {
		compute(50 * time.Millisecond)
	}
	fmt.Println(<-signals)
}

func main() {
	if len(os.Args) > 1 {
		compute(300 * time.Millisecond)
		return
	}
	user, system := spent(syscall.RUSAGE_SELF)
	allUser, allSystem, idle := processorTicks()
	compute(400 * time.Millisecond)
	userThen, systemThen := spent(syscall.RUSAGE_SELF)
	fmt.Println("computing is mostly the program's:", userThen-user > 2*(systemThen-system))
	serve(400 * time.Millisecond)
	userNow, systemNow := spent(syscall.RUSAGE_SELF)
	fmt.Println("serving is mostly the kernel's:", systemNow-systemThen > 2*(userNow-userThen))

	stat := fields("/proc/self/stat")
	fmt.Println("stat says so too:", ticks(stat[11]) >= 350*time.Millisecond, ticks(stat[12]) >= 350*time.Millisecond)
	allUserNow, allSystemNow, idleNow := processorTicks()
	fmt.Println("so does the machine's:", allUserNow-allUser >= 300*time.Millisecond, allSystemNow-allSystem >= 300*time.Millisecond)
	time.Sleep(300 * time.Millisecond)
	_, _, idleThen := processorTicks()
	fmt.Println("sleeping is idle:", idleNow >= idle, idleThen >= idleNow)

	intervalTimers()
	var times syscall.Tms
	syscall.Times(&times)
	fmt.Println("times says so too:", times.Utime >= 35, times.Stime >= 35)
	child := exec.Command("/proc/self/exe", "child")
	if err := child.Run(); err != nil {
		fmt.Println(err)
	}
	fmt.Println("a child's time:", child.ProcessState.UserTime() >= 250*time.Millisecond,
		child.ProcessState.UserTime() > child.ProcessState.SystemTime())
	childUser, _ := spent(syscall.RUSAGE_CHILDREN)
	fmt.Println("children's time:", childUser >= child.ProcessState.UserTime())

	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	before := usage.Minflt
	memory := bytes.Repeat([]byte{1}, 8<<20)
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	fmt.Println("faults:", usage.Minflt > before, usage.Nvcsw > 0, usage.Maxrss > 8192, len(memory))

	calls, bytesRead := counted("syscr"), counted("rchar")
	file, _ := os.Open("/dev/zero")
	file.Read(make([]byte, 5000))
	file.Close()
	fmt.Println("reads are counted:", counted("syscr") > calls, counted("rchar") >= bytesRead+5000)
}
