// Files makes, reads, changes, moves and removes files by the ways of Go's standard library.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

func check(what string, err error) {
	if err != nil {
		fmt.Println(what, "failed:", err)
	}
}

func main() {
	top, err := os.MkdirTemp("", "files")
	check("MkdirTemp", err)
	check("Chdir", os.Chdir(top))
	readAndWrite()
	names()
	links()
	walks()
	attributes()
	positions()
	mappings()
	appending()
	temporary()
	errorsOfLinux()
	locks()
	pipes()
	copies()
	many()
	image()
	check("Chdir", os.Chdir("/"))
	check("RemoveAll", os.RemoveAll(top))
	_, err = os.Stat(top)
	fmt.Println("all is gone:", errors.Is(err, fs.ErrNotExist))
}

func readAndWrite() {
	data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	check("WriteFile", os.WriteFile("large", data, 0o644))
	back, err := os.ReadFile("large")
	check("ReadFile", err)
	fmt.Println("large file comes back:", bytes.Equal(back, data))
	file, err := os.Create("lines")
	check("Create", err)
	writer := bufio.NewWriter(file)
	for line := 0; line < 10_000; line++ {
		fmt.Fprintln(writer, "line", line)
	}
	check("Flush", writer.Flush())
	check("Sync", file.Sync())
	check("Close", file.Close())
	file, err = os.Open("lines")
	check("Open", err)
	scanner := bufio.NewScanner(file)
	count := 0
	for scanner.Scan() {
		count++
	}
	file.Close()
	fmt.Println("lines:", count)
	file, _ = os.OpenFile("lines", os.O_RDWR|os.O_TRUNC, 0)
	info, _ := file.Stat()
	fmt.Println("truncated:", info.Size(), info.Mode())
	file.Close()
}

func names() {
	check("MkdirAll", os.MkdirAll("a/b/c", 0o755))
	check("WriteFile", os.WriteFile("a/b/c/x", []byte("x"), 0o600))
	check("Rename", os.Rename("a/b", "moved"))
	data, err := os.ReadFile("moved/c/x")
	fmt.Println(string(data), err)
	check("WriteFile", os.WriteFile("y", []byte("y"), 0o600))
	check("Rename", os.Rename("y", "moved/c/x"))
	data, err = os.ReadFile("moved/c/x")
	fmt.Println(string(data), err)
	fmt.Println(os.Remove("moved"))
	fmt.Println(os.Rename("moved", "moved/c/inside"))
	fmt.Println(os.Mkdir("moved", 0o700))
	fmt.Println(os.Mkdir("none/none", 0o700))
	check("RemoveAll", os.RemoveAll("moved"))
	here, err := os.Getwd()
	fmt.Println(filepath.Base(here) != "", err)
}

func links() {
	check("WriteFile", os.WriteFile("target", []byte("content"), 0o644))
	check("Symlink", os.Symlink("target", "soft"))
	check("Link", os.Link("target", "hard"))
	text, err := os.Readlink("soft")
	fmt.Println(text, err)
	soft, _ := os.Lstat("soft")
	fmt.Println(soft.Mode(), soft.Size())
	first, _ := os.Stat("target")
	second, _ := os.Stat("hard")
	third, _ := os.Stat("soft")
	fmt.Println(os.SameFile(first, second), os.SameFile(first, third), first.Sys().(*syscall.Stat_t).Nlink)
	check("Remove", os.Remove("target"))
	data, err := os.ReadFile("hard")
	fmt.Println(string(data), err)
	_, err = os.ReadFile("soft")
	fmt.Println(err)
	check("Symlink", os.Symlink("circle", "circle"))
	_, err = os.Open("circle")
	fmt.Println(err)
}

func walks() {
	for index := 0; index < 300; index++ {
		name := fmt.Sprintf("tree/%d/%d", index%7, index)
		check("MkdirAll", os.MkdirAll(filepath.Dir(name), 0o755))
		check("WriteFile", os.WriteFile(name, []byte(name), 0o644))
	}
	var found []string
	check("WalkDir", filepath.WalkDir("tree", func(path string, entry fs.DirEntry, err error) error {
		found = append(found, fmt.Sprint(path, entry.Type()))
		return err
	}))
	fmt.Printf("%d names, %x\n", len(found), sha256.Sum256([]byte(strings.Join(found, ","))))
	matches, err := filepath.Glob("tree/3/*7")
	fmt.Println(matches, err)
	sub := os.DirFS("tree")
	entries, err := fs.ReadDir(sub, "5")
	fmt.Println(len(entries), err)
	folder, _ := os.Open("tree/1")
	part, err := folder.Readdirnames(5)
	rest, _ := folder.Readdirnames(-1)
	all := append(part, rest...)
	sort.Strings(all)
	fmt.Println(len(part), err, len(all), all[0], all[len(all)-1])
	folder.Close()
}

func attributes() {
	check("WriteFile", os.WriteFile("marked", nil, 0o644))
	check("Chmod", os.Chmod("marked", 0o4751))
	when := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	check("Chtimes", os.Chtimes("marked", when, when))
	check("Chown", os.Chown("marked", 12, 34))
	info, _ := os.Stat("marked")
	stat := info.Sys().(*syscall.Stat_t)
	fmt.Println(info.Mode(), info.ModTime().UTC(), stat.Uid, stat.Gid, stat.Atim.Nano() == when.UnixNano())
	check("Truncate", os.Truncate("marked", 10_000))
	info, _ = os.Stat("marked")
	fmt.Println(info.Size(), info.Sys().(*syscall.Stat_t).Blocks)
	fresh, _ := os.Create("fresh")
	info, _ = fresh.Stat()
	fmt.Println("its time is now:", time.Since(info.ModTime()).Abs() < time.Minute)
	fresh.Close()
}

func positions() {
	file, _ := os.OpenFile("sparse", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	defer file.Close()
	_, err := file.WriteAt([]byte("end"), 1<<30)
	check("WriteAt", err)
	position, err := file.Seek(0, io.SeekEnd)
	fmt.Println(position, err)
	const seekData, seekHole = 3, 4
	position, err = file.Seek(0, seekData)
	fmt.Println(position, err)
	position, err = file.Seek(0, seekHole)
	fmt.Println(position, err)
	buffer := make([]byte, 10)
	count, err := file.ReadAt(buffer, 1<<30-3)
	fmt.Printf("%d %q %v\n", count, buffer[:count], err)
	_, err = file.Seek(-1, io.SeekStart)
	fmt.Println(err)
	var stat syscall.Stat_t
	syscall.Fstat(int(file.Fd()), &stat)
	fmt.Println("it takes up little:", stat.Blocks <= 16)
}

func mappings() {
	file, _ := os.OpenFile("mapped", os.O_RDWR|os.O_CREATE, 0o644)
	defer file.Close()
	check("Truncate", file.Truncate(10_000))
	shared, err := syscall.Mmap(int(file.Fd()), 0, 10_000, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	check("Mmap", err)
	private, err := syscall.Mmap(int(file.Fd()), 0, 10_000, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE)
	check("Mmap", err)
	copy(shared[5000:], "through the mapping")
	buffer := make([]byte, 19)
	file.ReadAt(buffer, 5000)
	fmt.Printf("%q %q\n", buffer, private[5000:5019])
	file.WriteAt([]byte("through the file"), 8000)
	fmt.Printf("%q %q\n", shared[8000:8016], private[8000:8016])
	copy(private[8000:], "mine alone")
	fmt.Printf("%q %q\n", shared[8000:8016], private[8000:8016])
	check("Munmap", syscall.Munmap(shared))
	check("Munmap", syscall.Munmap(private))
	data, _ := os.ReadFile("mapped")
	fmt.Printf("%x\n", sha256.Sum256(data))
}

func appending() {
	var group sync.WaitGroup
	for writer := 0; writer < 4; writer++ {
		group.Add(1)
		go func(writer int) {
			defer group.Done()
			file, err := os.OpenFile("log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			check("OpenFile", err)
			defer file.Close()
			for line := 0; line < 500; line++ {
				fmt.Fprintf(file, "writer %d line %03d\n", writer, line)
			}
		}(writer)
	}
	group.Wait()
	data, _ := os.ReadFile("log")
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	sort.Strings(lines)
	fmt.Printf("%d lines, none torn: %x\n", len(lines), sha256.Sum256([]byte(strings.Join(lines, ""))))
}

func temporary() {
	file, err := os.CreateTemp(".", "temporary-*.txt")
	check("CreateTemp", err)
	name := file.Name()
	fmt.Println(strings.HasSuffix(name, ".txt"))
	check("Remove", os.Remove(name))
	fmt.Fprint(file, "still there")
	file.Seek(0, io.SeekStart)
	data, err := io.ReadAll(file)
	fmt.Println(string(data), err)
	info, _ := file.Stat()
	fmt.Println(info.Sys().(*syscall.Stat_t).Nlink)
	file.Close()
}

func errorsOfLinux() {
	_, err := os.Open("missing")
	fmt.Println(err, errors.Is(err, fs.ErrNotExist))
	_, err = os.OpenFile("lines", os.O_CREATE|os.O_EXCL, 0o600)
	fmt.Println(err, errors.Is(err, fs.ErrExist))
	_, err = os.ReadFile("tree")
	fmt.Println(err)
	_, err = os.ReadDir("lines")
	fmt.Println(err)
	_, err = os.Open("lines/x")
	fmt.Println(err)
	_, err = os.Create(strings.Repeat("n", 256))
	fmt.Println(err.(*fs.PathError).Err)
	fmt.Println(os.Remove("tree").(*fs.PathError).Err)
	fmt.Println(os.WriteFile("tree", nil, 0o600))
	fmt.Println(os.Truncate("lines", -1))
	file, _ := os.Open("lines")
	_, err = file.Write([]byte("x"))
	fmt.Println(err)
	file.Close()
	fmt.Println(file.Close())
	fmt.Println(syscall.Rmdir("."))
	fmt.Println(syscall.Unlink("tree"))
}

func locks() {
	first, _ := os.Create("locked")
	second, _ := os.Open("locked")
	fmt.Println(syscall.Flock(int(first.Fd()), syscall.LOCK_EX))
	fmt.Println(syscall.Flock(int(second.Fd()), syscall.LOCK_SH|syscall.LOCK_NB))
	done := make(chan error)
	go func() { done <- syscall.Flock(int(second.Fd()), syscall.LOCK_SH) }()
	time.Sleep(10 * time.Millisecond)
	first.Close()
	fmt.Println(<-done)
	second.Close()
}

func pipes() {
	check("Mkfifo", syscall.Mkfifo("pipe", 0o600))
	go func() {
		file, err := os.OpenFile("pipe", os.O_WRONLY, 0)
		check("OpenFile", err)
		fmt.Fprint(file, "through a named pipe")
		file.Close()
	}()
	data, err := os.ReadFile("pipe")
	fmt.Println(string(data), err)
	info, _ := os.Stat("pipe")
	fmt.Println(info.Mode())
}

func copies() {
	from, _ := os.Open("large")
	to, _ := os.Create("copy")
	count, err := io.Copy(to, from)
	fmt.Println(count, err)
	from.Close()
	to.Close()
	a, _ := os.ReadFile("large")
	b, _ := os.ReadFile("copy")
	fmt.Println("copy is alike:", bytes.Equal(a, b))
	copyTree()
}

func many() {
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for round := 0; round < 50; round++ {
				mine := fmt.Sprintf("work/%d/%d", worker, round)
				check("MkdirAll", os.MkdirAll(mine, 0o755))
				check("WriteFile", os.WriteFile(mine+"/file", []byte(mine), 0o644))
				check("Rename", os.Rename(mine+"/file", fmt.Sprintf("work/%d-%d", worker, round)))
				check("Remove", os.Remove(mine))
			}
		}(worker)
	}
	group.Wait()
	entries, err := os.ReadDir("work")
	fmt.Println(len(entries), err)
}

// image changes what the image or the machine has had from the start.
func image() {
	check("MkdirAll", os.MkdirAll("/var/tmp/own", 0o700))
	check("WriteFile", os.WriteFile("/var/tmp/own/file", []byte("kept"), 0o600))
	data, err := os.ReadFile("/var/tmp/own/file")
	fmt.Println(string(data), err)
	check("RemoveAll", os.RemoveAll("/var/tmp/own"))
	_, err = os.Stat("/var/tmp/own")
	fmt.Println(err)
}
