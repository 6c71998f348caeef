package main

import (
	"runtime"
	"syscall"
	"unsafe"
)

type words struct {
	name string
	say  func(*random)
}

// rawCall makes a call with the stack pointer replaced by `stack`; calls_amd64.s.
func rawCall(number, a, b, c, stack uintptr) uintptr

// enter jumps to `code` with `flags` as the processor's flags and `value` in most registers; calls_amd64.s.
func enter(code, flags, value uintptr)

// fork makes clone's call and lets the child loop in place; calls_amd64.s.
func fork(flags, stack uintptr) uintptr

const unmapped = uintptr(0x5aa500001000)

// lastWords are the calls kept back, and what no call does: foreign code, broken stacks, privileged instructions.
var lastWords = []words{
	{"exit while the others work", func(r *random) { left.Store(1 << 40); go spawnAll(r); exit(uintptr(r.below(100))) }},
	{"rt_sigreturn from random memory", func(r *random) { r.noise(); block(); rawCall(15, 0, 0, 0, buffers+uintptr(r.below(page))*16) }},
	{"rt_sigreturn from nowhere", func(r *random) { block(); rawCall(15, 0, 0, 0, r.badStack()) }},
	{"a call on a bad stack", func(r *random) { block(); rawCall(39, 0, 0, 0, r.badStack()); exit(1) }},
	{"random code", func(r *random) { r.foreign(func(i int) byte { return byte(r.next()) }) }},
	{"privileged instructions", func(r *random) { r.privileged() }},
	{"a jump to a bad address", func(r *random) { enter(r.badStack(), uintptr(r.next()), uintptr(r.next())) }},
	{"unmap everything", func(r *random) { syscall.RawSyscall(syscall.SYS_MUNMAP, 0, lowerHalf-page, 0) }},
	{"protect everything", func(r *random) { syscall.RawSyscall(syscall.SYS_MPROTECT, 0x400000, 0x200000, uintptr(r.below(4))) }},
	{"a wild thread pointer", func(r *random) {
		syscall.RawSyscall(158, pick(r, []uintptr{0x1001, 0x1002}), pick(r, []uintptr{0, unmapped, lowerHalf, 1 << 63, ^uintptr(0), buffers}), 0)
		runtime.Gosched()
	}},
	{"random clone", func(r *random) { fork(uintptr(r.next()&r.next()&^0xff)|0x100, buffersEnd-64) }},
	{"random fork", func(r *random) { fork(uintptr(r.next()&r.next()&0xff)|17, 0) }},
	{"random execve", func(r *random) { syscall.RawSyscall(59, r.pointer(), r.pointer(), r.pointer()) }},
	{"random actions", func(r *random) {
		for i := 0; i < 200; i++ {
			syscall.RawSyscall6(13, uintptr(r.below(66)), r.pointer(), r.pointer(), 8, 0, 0)
			syscall.RawSyscall6(62, 1, r.signal(), 0, 0, 0, 0)
		}
	}},
	{"a bad signal stack", func(r *random) {
		stack := [3]uint64{uint64(r.badStack()), uint64(r.below(4)), uint64(r.argument('l'))}
		syscall.RawSyscall(131, uintptr(unsafe.Pointer(&stack)), 0, 0)
		syscall.RawSyscall(234, 1, uintptr(syscall.Gettid()), uintptr(syscall.SIGUSR1))
		fault()
	}},
	{"no memory left", func(r *random) {
		for {
			address, _, errno := syscall.RawSyscall6(9, 0, 64<<20, 3, 0x22, ^uintptr(0), 0)
			if errno != 0 {
				return
			}
			for i := uintptr(0); i < 64<<20; i += page {
				*(*byte)(toPointer(address + i)) = 1
			}
		}
	}},
	{"threads without end", func(r *random) {
		for i := 0; i < 3000; i++ {
			go func() { runtime.LockOSThread(); syscall.RawSyscall(34, 0, 0, 0) }()
		}
	}},
	{"limits of nothing", func(r *random) {
		for i := uintptr(0); i < 16; i++ {
			limit := [2]uint64{r.next() >> r.below(64), r.next() >> r.below(64)}
			syscall.RawSyscall6(302, 0, i, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
		}
		_ = make([]byte, 64<<20)
	}},
	{"forged signals", func(r *random) {
		for i := 0; i < 300; i++ {
			syscall.RawSyscall6(129, 1, r.signal(), r.pointer(), 0, 0, 0)
			syscall.RawSyscall6(297, 1, uintptr(syscall.Gettid()), r.signal(), r.pointer(), 0, 0)
		}
	}},
	{"a fault with every signal blocked", func(r *random) { block(); fault() }},
}

func spawnAll(r *random) {
	for i := uint64(0); i < 8; i++ {
		w := &worker{random: random(r.next() | 1)}
		go w.work()
	}
}

// signal is a number that doesn't stop a process: a stopped one would never end.
func (r *random) signal() uintptr {
	number := uintptr(r.below(66))
	if number >= 19 && number <= 22 {
		return 10
	}
	return number
}

func exit(status uintptr) { syscall.RawSyscall(syscall.SYS_EXIT_GROUP, status, 0, 0) }

// block masks every signal for this thread, which stays on it from now on.
func block() {
	runtime.LockOSThread()
	mask := ^uint64(0)
	syscall.RawSyscall6(14, 0, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
}

//go:noinline
func fault() { *(*byte)(toPointer(unmapped)) = 1 }

func (r *random) badStack() uintptr {
	return pick(r, []uintptr{0, 8, unmapped, lowerHalf - 8, lowerHalf, 0x0000900000000000, 0xffff800000001000, 0xffffffff80000000, ^uintptr(0), buffersEnd, buffersEnd - 8, readOnly + 64, uintptr(r.next())})
}

// noise fills the buffers with random words, some of which look like what a signal frame holds.
func (r *random) noise() {
	for address := buffers; address < buffersEnd; address += 8 {
		*(*uint64)(toPointer(address)) = pick(r, []uint64{0, r.next(), uint64(r.pointerPlain()), 0x33, 0x2b, 0x10, 0x202, 0x3202, uint64(lowerHalf), 0xffffffff80000000, 0x46505853, 1 << 63})
	}
}

// foreign fills a page with code, makes it executable and jumps into it.
func (r *random) foreign(code func(i int) byte) {
	for i := 0; i < page; i++ {
		*(*byte)(toPointer(scratch + uintptr(i))) = 0x90
	}
	syscall.RawSyscall(syscall.SYS_MPROTECT, scratch, page, 3)
	for i := 0; i < page; i++ {
		*(*byte)(toPointer(scratch + uintptr(i))) = code(i)
	}
	syscall.RawSyscall(syscall.SYS_MPROTECT, scratch, page, 5)
	enter(scratch+uintptr(r.below(64)), uintptr(r.next())&0x244cd5|2, pick(r, []uintptr{0, buffers, uintptr(r.next()), 0xffffffff80000000}))
}

var instructions = [][]byte{
	{0xf4}, {0xfa}, {0xfb}, {0xcc}, {0xcd, 0x80}, {0xcd, 0x20}, {0xcd, 0xff}, {0x0f, 0x0b}, {0xe4, 0x60}, {0xe6, 0x80}, {0xec}, {0xef}, {0x6c},
	{0x0f, 0x30}, {0x0f, 0x32}, {0x0f, 0x20, 0xc0}, {0x0f, 0x22, 0xc0}, {0x0f, 0x22, 0xd8}, {0x0f, 0x22, 0xe0}, {0x0f, 0x01, 0xf8}, {0x0f, 0x01, 0xd1},
	{0x0f, 0x06}, {0x0f, 0x08}, {0x0f, 0x09}, {0x0f, 0x07}, {0x48, 0xcf}, {0xcf}, {0x48, 0xcb}, {0x0f, 0x34}, {0x0f, 0x35}, {0x8e, 0xd0}, {0x8e, 0xe0}, {0x8e, 0xe8},
	{0x0f, 0x01, 0x10}, {0x0f, 0x01, 0x18}, {0x0f, 0x00, 0x10}, {0x0f, 0x00, 0xd8}, {0x0f, 0x01, 0x00}, {0x0f, 0x01, 0xe0}, {0xf1}, {0x9d}, {0x0f, 0xc7, 0xf0},
	{0x48, 0xf7, 0xf0}, {0x0f, 0xae, 0x10}, {0x0f, 0x77}, {0xdb, 0xe3}, {0xd9, 0xee, 0xd9, 0xee, 0xde, 0xf9}, {0x0f, 0x05}, {0xc5, 0xf8, 0x77}, {0xf3, 0x48, 0x0f, 0xae, 0xd0}, {0xf3, 0x48, 0x0f, 0xae, 0xd8},
}

// privileged runs instructions that user mode may not, or that no one should.
func (r *random) privileged() {
	at, instruction := 0, []byte(nil)
	r.foreign(func(int) byte {
		if at == len(instruction) {
			at, instruction = 0, pick(r, instructions)
		}
		at++
		return instruction[at-1]
	})
}
