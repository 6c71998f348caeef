// File systems that a program mounts: what is in them, how they may be used, and what /proc tells of them.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

func check(what string, err error) {
	if err == nil {
		fmt.Println(what)
		return
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		fmt.Println(what, "-", number.Error())
		return
	}
	fmt.Println(what, "-", err)
}

// mounts prints the lines of mountinfo about what is below a folder, without what is numbered by chance.
func mounts(below string) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) < 10 || !strings.HasPrefix(words[4], below) {
			continue
		}
		rest := strings.TrimSuffix(words[len(words)-1], ",inode64")
		root := strings.TrimPrefix(words[3], below)
		fmt.Println(strings.TrimPrefix(words[4], below), filepath.Base(root), words[5], words[len(words)-3], rest)
	}
}

func device(path string) uint64 {
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		panic(err)
	}
	return stat.Dev
}

func main() {
	switch {
	case len(os.Args) == 1: // the mounts are nobody else's
		command := exec.Command("/proc/self/exe", "alone")
		command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		check("alone", command.Run())
		mounts(os.TempDir() + "/mounts")
		return
	case os.Args[1] == "again":
		fmt.Println("run from where it may be run, set-user-ID kept:", os.Geteuid() == 1000)
		return
	}
	top, err := os.MkdirTemp("", "mounts")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(top)
	in := func(names ...string) string { return filepath.Join(append([]string{top}, names...)...) }
	for _, name := range []string{"a", "b", "c", "proc"} {
		os.Mkdir(in(name), 0o755)
	}

	check("memory", syscall.Mount("none", in("a"), "tmpfs", syscall.MS_NOSUID, "size=1m,nr_inodes=20,mode=750"))
	fmt.Println("another device:", device(in("a")) != device(in("b")))
	os.WriteFile(in("a", "file"), []byte("content"), 0o644)
	check("full", os.WriteFile(in("a", "large"), make([]byte, 2<<20), 0o644))
	os.Remove(in("a", "large"))
	check("bind", syscall.Mount(in("a"), in("b"), "", syscall.MS_BIND, ""))
	text, err := os.ReadFile(in("b", "file"))
	fmt.Println(string(text), err, device(in("a")) == device(in("b")))
	check("read-only", syscall.Mount("", in("b"), "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""))
	check("write there", os.WriteFile(in("b", "file"), nil, 0o644))
	check("write here", os.WriteFile(in("a", "file"), []byte("other"), 0o644))
	check("rename", os.Rename(in("a", "file"), in("b", "file2")))
	mounts(top)

	check("memory for a program", syscall.Mount("none", in("c"), "tmpfs", 0, ""))
	self, _ := os.ReadFile("/proc/self/exe")
	check("program", os.WriteFile(in("c", "program"), self, 0o755))
	os.Chown(in("c", "program"), 1000, 1000)
	os.Chmod(in("c", "program"), 0o4755)
	run := func() {
		out, err := exec.Command(in("c", "program"), "again").CombinedOutput()
		fmt.Print(string(out))
		check("run", err)
	}
	run()
	check("nosuid", syscall.Mount("", in("c"), "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_NOSUID, ""))
	run()
	check("noexec", syscall.Mount("", in("c"), "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_NOEXEC, ""))
	run()
	_, err = exec.LookPath(in("c", "program"))
	fmt.Println(err != nil)

	check("proc", syscall.Mount("proc", in("proc"), "proc", 0, ""))
	status, err := os.ReadFile(in("proc", "self", "comm"))
	mine, _ := os.ReadFile("/proc/self/comm")
	fmt.Println(string(status) == string(mine), err, device(in("proc")) == device("/proc"))
	link, err := os.Readlink(in("proc", "self", "cwd"))
	here, _ := os.Getwd()
	fmt.Println(link == here, err)
	names, _ := os.ReadDir(in("proc", "self", "fd"))
	fmt.Println(len(names) > 3)
	check("twice", syscall.Mount("proc", in("proc"), "proc", 0, ""))
	check("umount proc", syscall.Unmount(in("proc"), 0))
	check("umount proc again", syscall.Unmount(in("proc"), 0))

	// Many at once: each mounts, fills, looks and takes away its own.
	var group sync.WaitGroup
	for worker := 0; worker < 4; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			place := in(fmt.Sprint("worker", worker))
			os.Mkdir(place, 0o755)
			for round := 0; round < 20; round++ {
				if err := syscall.Mount("none", place, "tmpfs", 0, ""); err != nil {
					panic(err)
				}
				for index := 0; index < 10; index++ {
					os.WriteFile(filepath.Join(place, fmt.Sprint(index)), make([]byte, 5000), 0o600)
				}
				os.ReadFile("/proc/self/mountinfo")
				found, _ := os.ReadDir(place)
				flags := 0
				if round%2 == 1 {
					flags = syscall.MNT_DETACH
				}
				if err := syscall.Unmount(place, flags); len(found) != 10 || err != nil {
					panic(fmt.Sprint(len(found), err))
				}
			}
			os.Remove(place)
		}(worker)
	}
	group.Wait()

	check("busy", func() error {
		file, _ := os.Open(in("b", "file"))
		defer file.Close()
		return syscall.Unmount(in("b"), 0)
	}())
	for _, name := range []string{"b", "a", "c"} {
		check("umount "+name, syscall.Unmount(in(name), 0))
	}
	check("umount again", syscall.Unmount(in("a"), 0))
	mounts(top)
	names, _ = os.ReadDir(in("a"))
	fmt.Println(len(names))
}
