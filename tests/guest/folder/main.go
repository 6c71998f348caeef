// What programs do with the files of one folder: it is named by the first argument, else a new one. Prints what it saw,
// so that a folder of the host that a machine shares can be held against Linux.
package main

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

func say(name string, err error, more ...any) {
	var number syscall.Errno
	text := "ok"
	if errors.As(err, &number) {
		text = number.Error()
	} else if err != nil {
		text = err.Error()
	}
	fmt.Println(append([]any{name, text}, more...)...)
}

func content(name string) string {
	data, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	if len(data) > 40 {
		return fmt.Sprint(len(data), " ", crc32.ChecksumIEEE(data))
	}
	return fmt.Sprintf("%q", data)
}

func main() {
	if len(os.Args) > 2 && os.Args[2] == "child" {
		fmt.Println("a program from the folder:", len(os.Args), content("small"))
		return
	}
	folder, err := os.MkdirTemp("", "folder")
	if len(os.Args) > 1 {
		folder, err = os.Args[1], nil
	}
	say("chdir", err)
	say("chdir", os.Chdir(folder))
	files()
	names()
	errnos()
	attributes()
	mappings()
	locks()
	many()
	programs()
}

func files() {
	say("write", os.WriteFile("small", []byte("some text"), 0o640), content("small"))
	large := make([]byte, 1_000_003)
	for i := range large {
		large[i] = byte(i * 7 % 251)
	}
	say("write", os.WriteFile("large", large, 0o600), content("large"))
	f, err := os.OpenFile("small", os.O_RDWR|os.O_APPEND, 0)
	say("append", err)
	n, err := f.Write([]byte(", and more"))
	at, _ := f.Seek(0, io.SeekCurrent)
	say("append", err, n, at, content("small"))
	end, err := f.Seek(-4, io.SeekEnd)
	rest, _ := io.ReadAll(f)
	say("seek", err, end, string(rest))
	say("truncate", f.Truncate(4), content("small"))
	say("grow", f.Truncate(8), content("small"))
	say("sync", f.Sync())
	say("close", f.Close())
	f, err = os.OpenFile("large", os.O_RDWR, 0)
	say("open", err)
	part := make([]byte, 5)
	n, err = f.ReadAt(part, 1_000_000)
	say("pread at the end", err, n)
	n, err = f.WriteAt([]byte("middle"), 500_000)
	say("pwrite", err, n, content("large"))
	say("unlink", os.Remove("large"))
	n, err = f.ReadAt(part, 500_000)
	say("read what has no name", err, n, string(part))
	info, err := f.Stat()
	say("stat what has no name", err, info.Size(), info.Sys().(*syscall.Stat_t).Nlink)
	f.Close()
	f, err = os.OpenFile("locked", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0)
	say("make", err)
	n, err = f.Write([]byte("x"))
	say("write to what forbids it", err, n)
	f.Close()
	source, _ := os.Open("small")
	target, _ := os.Create("copy")
	copied, err := io.Copy(target, source)
	say("copy", err, copied, content("copy"))
	source.Close()
	target.Close()
}

func names() {
	say("mkdir", os.MkdirAll("a/b/c", 0o755))
	say("symlink", os.Symlink("../small", "a/link"), content("a/link"))
	text, err := os.Readlink("a/link")
	say("readlink", err, text)
	say("link", os.Link("small", "a/b/hard"))
	info, _ := os.Lstat("small")
	other, _ := os.Lstat("a/b/hard")
	say("same", nil, os.SameFile(info, other), info.Sys().(*syscall.Stat_t).Nlink)
	say("rename", os.Rename("a/b", "moved"))
	_, err = os.Stat("a/b")
	say("stat", err)
	os.WriteFile("other", []byte("other"), 0o644)
	say("rename over", os.Rename("other", "moved/hard"), content("moved/hard"), content("small"))
	say("rename a folder over an empty one", os.Rename("a", "moved/c"))
	say("remove", os.Remove("moved/c"))
	say("remove all", os.RemoveAll("moved"))
	for i := 0; i < 300; i++ {
		os.WriteFile(fmt.Sprintf("name-%03d", i), nil, 0o600)
	}
	found, err := os.ReadDir(".")
	say("list", err, len(found), found[len(found)-1].Name(), found[0].Type())
	for i := 0; i < 300; i++ {
		os.Remove(fmt.Sprintf("name-%03d", i))
	}
	os.MkdirAll("tree/x/y/z", 0o700)
	os.WriteFile("tree/x/y/leaf", []byte("leaf"), 0o600)
	var walked []string
	say("walk", filepath.WalkDir("tree", func(path string, d fs.DirEntry, err error) error {
		walked = append(walked, fmt.Sprint(path, d.Type()))
		return err
	}))
	sort.Strings(walked)
	fmt.Println(walked)
	say("go there", os.Chdir("tree/x"))
	say("move the folder that one stands in", os.Rename("../../tree", "../../wood"), content("y/leaf"))
	say("go back", os.Chdir("../.."), content("wood/x/y/leaf"))
}

func errnos() {
	_, err := os.ReadFile("missing/file")
	say("missing folder", err)
	_, err = os.ReadFile("small/file")
	say("file as folder", err)
	say("mkdir twice", os.Mkdir("wood", 0o755))
	say("remove a full folder", syscall.Rmdir("wood"))
	say("rmdir of a file", syscall.Rmdir("small"))
	say("unlink of a folder", syscall.Unlink("wood"))
	_, err = os.OpenFile("small", os.O_CREATE|os.O_EXCL, 0o600)
	say("exclusive", err)
	_, err = os.OpenFile("wood", os.O_WRONLY, 0)
	say("folder for writing", err)
	_, err = os.Open(strings.Repeat("x", 256))
	say("long name", err)
	os.Symlink("loop", "loop")
	_, err = os.Open("loop")
	say("loop", err)
	say("folder into itself", syscall.Rename("wood", "wood/x/inside"))
	say("folder over file", syscall.Rename("wood", "small"))
	say("truncate to less than nothing", syscall.Truncate("small", -1))
	_, err = os.Readlink("small")
	say("readlink of a file", err)
}

func attributes() {
	say("chmod", os.Chmod("small", 0o604))
	when := time.Unix(1_234_567_890, 123_000_000)
	say("times", os.Chtimes("small", when, when.Add(time.Hour)))
	info, err := os.Stat("small")
	say("stat", err, info.Mode(), info.Size(), info.ModTime().UnixNano())
	info, err = os.Stat("wood")
	say("stat", err, info.Mode(), info.IsDir())
	var space syscall.Statfs_t
	say("statfs", syscall.Statfs(".", &space), space.Bsize > 0, space.Blocks > space.Bfree, space.Namelen)
	say("setxattr", syscall.Setxattr("small", "user.key", []byte("value"), 0))
	value := make([]byte, 100)
	n, err := syscall.Getxattr("small", "user.key", value)
	say("getxattr", err, n, string(value[:5]))
	n, err = syscall.Listxattr("small", value)
	say("listxattr", err, n)
	say("removexattr", syscall.Removexattr("small", "user.key"))
	_, err = syscall.Getxattr("small", "user.key", value)
	say("getxattr", err)
}

func mappings() {
	os.WriteFile("mapped", []byte(strings.Repeat("0123456789abcdef", 1024)), 0o600)
	f, _ := os.OpenFile("mapped", os.O_RDWR, 0)
	defer f.Close()
	shared, err := syscall.Mmap(int(f.Fd()), 0, 16384, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	say("map", err)
	private, err := syscall.Mmap(int(f.Fd()), 4096, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE)
	say("map a copy", err, string(private[:4]))
	copy(private, "mine")
	copy(shared[5000:], "through the mapping")
	f.WriteAt([]byte("through write"), 9000)
	say("seen", nil, string(shared[9000:9013]), content("mapped"))
	say("unmap", syscall.Munmap(shared), content("mapped"))
	say("unmap", syscall.Munmap(private))
}

func locks() {
	a, _ := os.OpenFile("small", os.O_RDWR, 0)
	b, _ := os.OpenFile("small", os.O_RDWR, 0)
	defer a.Close()
	defer b.Close()
	say("flock", syscall.Flock(int(a.Fd()), syscall.LOCK_EX))
	say("flock of another", syscall.Flock(int(b.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	say("unlock", syscall.Flock(int(a.Fd()), syscall.LOCK_UN))
	say("flock of another", syscall.Flock(int(b.Fd()), syscall.LOCK_SH|syscall.LOCK_NB))
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Len: 10}
	say("record lock", syscall.FcntlFlock(a.Fd(), syscall.F_SETLK, &lock))
}

func many() {
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		worker := worker
		group.Add(1)
		go func() {
			defer group.Done()
			name := fmt.Sprint("worker-", worker)
			for round := 0; round < 20; round++ {
				f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
				if err != nil {
					say(name, err)
					return
				}
				fmt.Fprintln(f, worker, round)
				f.Close()
			}
		}()
	}
	group.Wait()
	for worker := 0; worker < 8; worker++ {
		fmt.Println(worker, content(fmt.Sprint("worker-", worker)))
	}
}

func programs() {
	self, err := os.ReadFile("/proc/self/exe")
	say("own program", err)
	say("into the folder", os.WriteFile("program", self, 0o700))
	output, err := exec.Command("./program", ".", "child").CombinedOutput()
	say("run", err, string(output))
	os.Remove("program")
}
