// Fuzzcalls throws random system calls at the kernel from several threads: random numbers, pointers, lengths and flags,
// all from one seed. Whatever the kernel answers is right as long as it stays up. It keeps itself alive (calls that
// would end it or take its own memory away are left out) until its count is reached; then, as its last words, it does
// one of the things it had kept from, and any end of the program is a good one. Status 205 alone says that it blocked before
// it had done anything that could have damaged it.
//
//	fuzzcalls SEED CALLS [WORDS]
//
// It runs in an image only: as root on a computer of yours it might do harm.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const workers = 4

// worker makes calls from its own stream of random numbers. `made` grows while it isn't stuck in a call.
type worker struct {
	random
	made    atomic.Int64
	retired atomic.Bool
}

// watchdog is what a thread outside Go's runtime counts down every 100 ms, to end the program with `status` at 0: a
// program that has damaged itself may block for ever, which is no fault of the kernel's.
type watchdog struct {
	patience atomic.Int32
	status   int32
}

const (
	patience       = 100
	blockedAtWords = 204 // what was said last did it
	blockedAtWork  = 205 // nothing that the calls may do should
)

// watch starts the thread; calls_amd64.s.
func watch(w *watchdog, moment *syscall.Timespec)

var (
	dog    = watchdog{status: blockedAtWork}
	moment = syscall.Timespec{Nsec: 100_000_000}

	left   atomic.Int64 // calls still to be made, by all workers together
	errnos [4096]atomic.Int64
)

func main() {
	if os.Getpid() != 1 {
		fmt.Println("fuzzcalls runs as the first process of an image, nowhere else")
		os.Exit(64)
	}
	seed, _ := strconv.ParseUint(os.Args[1], 10, 64)
	count, _ := strconv.ParseInt(os.Args[2], 10, 64)
	signal.Notify(make(chan os.Signal, 1)) // signals that it sends itself must not end it
	prepare()
	dog.patience.Store(patience)
	watch(&dog, &moment)
	left.Store(count)
	supervise(seed, count)
	words := int(seed % uint64(len(lastWords)))
	if len(os.Args) > 3 {
		words, _ = strconv.Atoi(os.Args[3])
	}
	fmt.Printf("fuzzcalls: seed %d made %d calls, answers %s; last words %d: %s\n",
		seed, count, answers(), words, lastWords[words].name)
	dog.status = blockedAtWords
	dog.patience.Store(patience)
	go func() {
		time.Sleep(2 * time.Second)
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 3, 0, 0) // the last words did not end it
	}()
	r := random(seed*0x9e3779b97f4a7c15 + 1)
	lastWords[words].say(&r)
	time.Sleep(50 * time.Millisecond)
	os.Exit(0)
}

// supervise keeps `workers` workers going: one that is stuck in a call is left there and another takes its place.
func supervise(seed uint64, count int64) {
	active := make([]*worker, workers)
	progress := make([]int64, workers)
	started := uint64(0)
	start := func(i int) {
		started++
		w := &worker{random: random(seed<<20 + started*0x2545f4914f6cdd1d + 1)}
		active[i], progress[i] = w, 0
		go w.work()
	}
	for i := range active {
		start(i)
	}
	for quiet := 0; left.Load() > 0 && quiet < 500; {
		time.Sleep(10 * time.Millisecond)
		dog.patience.Store(patience)
		quiet++
		for i, w := range active {
			if made := w.made.Load(); made != progress[i] {
				progress[i], quiet = made, 0
			} else if started < 400 {
				w.retired.Store(true)
				start(i)
			}
		}
	}
}

func (w *worker) work() {
	for !w.retired.Load() && left.Add(-1) >= 0 {
		number, arguments, allowed := w.call()
		if !allowed {
			continue
		}
		result, _, errno := syscall.Syscall6(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5])
		if errno < 4096 {
			errnos[errno].Add(1)
		}
		w.remember(number, arguments, result, errno)
		w.made.Add(1)
	}
}

// answers lists the error numbers seen, most frequent first: what a run reached can be told from it.
func answers() string {
	var text strings.Builder
	for shown := 0; shown < 12; shown++ {
		best := -1
		for i := range errnos {
			if n := errnos[i].Load(); n > 0 && (best < 0 || n > errnos[best].Load()) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		name := "ok"
		if best > 0 {
			name = strings.ReplaceAll(syscall.Errno(best).Error(), " ", "-")
		}
		fmt.Fprintf(&text, "%s:%d ", name, errnos[best].Swap(0))
	}
	return strings.TrimSpace(text.String())
}
