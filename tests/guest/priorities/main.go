// Nice values and the priorities of input and output: what is set, what is told, and who inherits it.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

const (
	process = 1 // whom ioprio_get and ioprio_set mean
	group   = 2
	user    = 3
)

func get(which, who int) {
	result, _, err := syscall.RawSyscall(syscall.SYS_IOPRIO_GET, uintptr(which), uintptr(who), 0)
	fmt.Printf("get %d %d: %#x %d\n", which, who, int(result), err)
}

func set(which, who, priority int) {
	_, _, err := syscall.RawSyscall(syscall.SYS_IOPRIO_SET, uintptr(which), uintptr(who), uintptr(priority))
	fmt.Printf("set %d %d %#x: %d\n", which, who, priority, err)
}

func main() {
	runtime.LockOSThread()
	if len(os.Args) > 1 {
		get(process, 0)
		return
	}
	syscall.Setpgid(0, 0)
	get(process, 0)
	get(group, 0)
	for _, which := range []int{0, 4, -1} {
		get(which, 0)
		set(which, 0, 0x4004)
	}
	for _, who := range []int{-1, 99999999} {
		for which := process; which <= user; which++ {
			get(which, who)
			set(which, who, 0x4002)
		}
	}
	// Classes 0 to 7; the level only counts for the first, the hint is kept, what is above is not.
	for _, priority := range []int{0x4004, 0x6000, 0x6007, 0, 3, 8, 0x8000, 0xe000, 0x4ff8, 0x14005, -1} {
		set(process, 0, priority)
		get(process, 0)
	}
	set(group, 0, 0x4001)
	get(group, 0)
	own, _, _ := syscall.RawSyscall(syscall.SYS_IOPRIO_GET, process, uintptr(syscall.Gettid()), 0)
	fmt.Printf("by its number: %#x\n", own)
	set(group, 0, 0)
	for _, nice := range []int{0, 10, 19} {
		fmt.Println(syscall.Setpriority(syscall.PRIO_PGRP, 0, nice))
		get(process, 0)
		get(group, 0)
	}
	set(process, 0, 0x4003)
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	child := exec.Command(self, "child")
	child.Stdout = os.Stdout
	fmt.Println(child.Run())
}
