// Surroundings reads what the runtime and the standard library read of /proc, /sys and /dev, and the auxiliary vector.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func read(name string) []byte {
	data, err := os.ReadFile(name)
	if err != nil {
		fmt.Println(err)
	}
	return data
}

func main() {
	vector()
	fmt.Println("huge page size:", strings.TrimSpace(string(read("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"))))
	fmt.Println("mounts are readable:", len(read("/proc/self/mountinfo")) > 0)
	devices()
	self()
	missing()
}

// vector checks the entries of /proc/self/auxv that programs rely on.
func vector() {
	data := read("/proc/self/auxv")
	values := map[uint64]uint64{}
	for ; len(data) >= 16; data = data[16:] {
		values[binary.LittleEndian.Uint64(data)] = binary.LittleEndian.Uint64(data[8:])
	}
	fmt.Println("page size", values[6], "clock tick", values[17], "entry size", values[4], "secure", values[23])
	fmt.Println("16 random bytes are there:", values[25] != 0)
	fmt.Println("entry and headers are there:", values[9] != 0 && values[3] != 0 && values[5] > 0)
	fmt.Println("ended:", values[0] == 0)
	vdso := values[33]
	if vdso == 0 || vdso%4096 != 0 {
		fmt.Println("no vDSO: false")
		return
	}
	image := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&vdso))), 4096)
	fmt.Println("the vDSO is an ELF file:", bytes.HasPrefix(image, []byte("\x7fELF")))
	for _, name := range []string{"__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_getcpu", "LINUX_2.6"} {
		fmt.Println(name, bytes.Contains(image, []byte(name)))
	}
}

func devices() {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := null.Write(make([]byte, 5000))
	fmt.Println("null takes", n, err)
	n, err = null.Read(make([]byte, 10))
	fmt.Println("null gives", n, err)
	null.Close()
	zero, err := os.Open("/dev/zero")
	if err == nil {
		data := bytes.Repeat([]byte{1}, 100)
		n, err = zero.Read(data)
		fmt.Println("zero gives", n, err, bytes.Equal(data, make([]byte, 100)))
		zero.Close()
	} else {
		fmt.Println(err)
	}
	for _, name := range []string{"/dev/urandom", "/dev/random"} {
		file, err := os.Open(name)
		if err != nil {
			fmt.Println(err)
			continue
		}
		var a, b [32]byte
		file.Read(a[:])
		file.Read(b[:])
		file.Close()
		fmt.Println(name, "differs each time:", a != b)
	}
}

func self() {
	name, err := os.Executable()
	fmt.Println("executable is absolute:", filepath.IsAbs(name), err)
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	head := make([]byte, 4)
	file.ReadAt(head, 0)
	fmt.Printf("executable starts with %q\n", head)
	info, err := file.Stat()
	fmt.Println("executable is a regular file:", err == nil && info.Mode().IsRegular() && info.Size() > 100_000)
	folder, err := os.Getwd()
	fmt.Println("working folder is absolute:", filepath.IsAbs(folder), err)
	fmt.Println("ids agree:", os.Getpid() == syscall.Getpid() && os.Getuid() == os.Geteuid() && os.Getgid() == os.Getegid())
	host, err := os.Hostname()
	fmt.Println("host name is there:", host != "", err)
	var uts syscall.Utsname
	fmt.Println("uname:", syscall.Uname(&uts), text(uts.Sysname[:]), text(uts.Machine[:]))
	var system syscall.Sysinfo_t
	fmt.Println("sysinfo:", syscall.Sysinfo(&system), system.Totalram > 0, system.Unit > 0)
	fmt.Println("local zone has a name:", time.Now().Location().String() != "")
}

func text(characters []int8) string {
	var b strings.Builder
	for _, c := range characters {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}

func missing() {
	_, err := os.Open("/no/such/file")
	fmt.Println(err, errors.Is(err, fs.ErrNotExist))
	_, err = os.ReadFile("/dev")
	fmt.Println(err)
	_, err = os.Open("/dev/null/below")
	fmt.Println(err)
	_, err = os.Stat("")
	fmt.Println(err)
	_, err = os.Open("/" + strings.Repeat("n", 300))
	fmt.Println(errors.Is(err, syscall.ENAMETOOLONG))
}
