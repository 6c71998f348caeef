// Mappings drives mmap, munmap, mprotect, mremap, madvise, mincore, msync and brk by raw system calls, prints every
// error, and checks contents: what survives, what reads as zero, what faults.
package main

import (
	"fmt"
	"runtime/debug"
	"syscall"
	"unsafe"
)

const (
	page = uintptr(4096)
	none = 0
	r    = syscall.PROT_READ
	rw   = syscall.PROT_READ | syscall.PROT_WRITE
	anon = syscall.MAP_ANON | syscall.MAP_PRIVATE

	fixedNoReplace = 0x100000
	mremapMayMove  = 1
	mremapFixed    = 2
	madvFree       = 8
	madvPopulate   = 23
	sizeHuge       = uintptr(2 << 20)

	sysGetrandom = 318
)

func call(number uintptr, a ...uintptr) (uintptr, syscall.Errno) {
	var p [6]uintptr
	copy(p[:], a)
	value, _, errno := syscall.Syscall6(number, p[0], p[1], p[2], p[3], p[4], p[5])
	return value, errno
}

func mmap(address, length uintptr, protection, flags int) (uintptr, syscall.Errno) {
	return call(syscall.SYS_MMAP, address, length, uintptr(protection), uintptr(flags), ^uintptr(0), 0)
}

func must(length uintptr, protection int) uintptr {
	address, errno := mmap(0, length, protection, anon)
	if errno != 0 {
		fmt.Println("mmap of", length, "failed:", errno)
	}
	return address
}

func report(name string, errno syscall.Errno) {
	if errno == 0 {
		fmt.Println(name, "ok")
	} else {
		fmt.Println(name, int(errno), errno)
	}
}

func peek(address uintptr) (text string) {
	defer func() {
		if recover() != nil {
			text = "fault"
		}
	}()
	return fmt.Sprint(*(*byte)(unsafe.Pointer(address)))
}

func poke(address uintptr, value byte) (text string) {
	defer func() {
		if recover() != nil {
			text = "fault"
		}
	}()
	*(*byte)(unsafe.Pointer(address)) = value
	return "written"
}

func resident(address uintptr, pages int) string {
	vector := make([]byte, pages)
	if _, errno := call(syscall.SYS_MINCORE, address, uintptr(pages)*page, uintptr(unsafe.Pointer(&vector[0]))); errno != 0 {
		return errno.Error()
	}
	for i := range vector {
		vector[i] &= 1
	}
	return fmt.Sprint(vector)
}

func main() {
	debug.SetPanicOnFault(true)
	errors()
	protections()
	holes()
	placed()
	moved()
	advised()
	broken()
	huge()
}

func errors() {
	_, errno := mmap(0, 0, rw, anon)
	report("mmap length 0", errno)
	_, errno = mmap(0, page, rw, syscall.MAP_ANON)
	report("mmap neither private nor shared", errno)
	_, errno = mmap(1<<48, page, rw, anon|syscall.MAP_FIXED)
	report("mmap fixed beyond user space", errno)
	_, errno = mmap(page+1, page, rw, anon|syscall.MAP_FIXED)
	report("mmap fixed unaligned", errno)
	_, errno = mmap(0, 1<<47, none, anon)
	report("mmap of the whole space", errno)
	_, errno = mmap(0, ^uintptr(0), none, anon)
	report("mmap length that wraps", errno)
	_, errno = call(syscall.SYS_MMAP, 0, page, r, syscall.MAP_PRIVATE, 999, 0)
	report("mmap of no file", errno)
	_, errno = call(syscall.SYS_MMAP, 0, page, r, anon, ^uintptr(0), 1)
	report("mmap unaligned offset", errno)
	_, errno = call(syscall.SYS_MUNMAP, page+1, page)
	report("munmap unaligned", errno)
	_, errno = call(syscall.SYS_MUNMAP, page, 0)
	report("munmap length 0", errno)
	_, errno = call(syscall.SYS_MUNMAP, page, page)
	report("munmap of nothing", errno)
	_, errno = call(syscall.SYS_MUNMAP, 1<<48, page)
	report("munmap beyond user space", errno)
	_, errno = call(syscall.SYS_MPROTECT, page, page, r)
	report("mprotect of nothing", errno)
	_, errno = call(syscall.SYS_MPROTECT, page+1, page, r)
	report("mprotect unaligned", errno)
	_, errno = call(syscall.SYS_MPROTECT, page, 0, r)
	report("mprotect length 0", errno)
	_, errno = call(syscall.SYS_MADVISE, page, page, syscall.MADV_DONTNEED)
	report("madvise of nothing", errno)
	a := must(page, rw)
	_, errno = call(syscall.SYS_MADVISE, a, page, 9999)
	report("madvise with no such advice", errno)
	_, errno = call(syscall.SYS_MADVISE, a+1, page, syscall.MADV_DONTNEED)
	report("madvise unaligned", errno)
	_, errno = call(syscall.SYS_MADVISE, a, 0, syscall.MADV_DONTNEED)
	report("madvise length 0", errno)
	_, errno = call(syscall.SYS_MREMAP, a, page, 0, 0)
	report("mremap to 0", errno)
	_, errno = call(syscall.SYS_MREMAP, a+1, page, page, 0)
	report("mremap unaligned", errno)
	_, errno = call(syscall.SYS_MREMAP, a, page, page, 64)
	report("mremap with no such flag", errno)
	_, errno = call(syscall.SYS_MREMAP, page, page, 2*page, mremapMayMove)
	report("mremap of nothing", errno)
	_, errno = call(syscall.SYS_MREMAP, a, page, page, mremapFixed, a)
	report("mremap fixed without may-move", errno)
	_, errno = call(syscall.SYS_MINCORE, a+1, page, a)
	report("mincore unaligned", errno)
	_, errno = call(syscall.SYS_MINCORE, page, page, a)
	report("mincore of nothing", errno)
	_, errno = call(syscall.SYS_MINCORE, a, page, 8)
	report("mincore into nothing", errno)
	_, errno = call(syscall.SYS_MSYNC, a, page, 4)
	report("msync", errno)
	_, errno = call(syscall.SYS_MSYNC, page, page, 4)
	report("msync of nothing", errno)
	_, errno = call(syscall.SYS_MLOCK, a, page)
	report("mlock", errno)
	_, errno = call(syscall.SYS_MUNLOCK, a, page)
	report("munlock", errno)
	for _, length := range []uintptr{1 << 47, 1 << 63, ^(page - 1), ^uintptr(0)} {
		for _, number := range []uintptr{syscall.SYS_MREMAP, syscall.SYS_MUNMAP, syscall.SYS_MLOCK, syscall.SYS_MINCORE} {
			_, errno = call(number, a, length, page)
			report(fmt.Sprintf("call %d of a length %#x", number, length), errno)
		}
	}
}

func protections() {
	a := must(3*page, rw)
	fmt.Println("fresh page", peek(a), peek(a+page-1), poke(a, 5), peek(a))
	_, errno := call(syscall.SYS_MPROTECT, a+page, page, none)
	report("mprotect none", errno)
	fmt.Println("middle", peek(a+page), "neighbours", peek(a), peek(a+2*page))
	_, errno = call(syscall.SYS_MPROTECT, a, 3*page, r)
	report("mprotect read over all", errno)
	fmt.Println("read only", peek(a), peek(a+page), poke(a, 6), poke(a+page, 6))
	_, errno = call(syscall.SYS_MPROTECT, a, 3*page, rw)
	report("mprotect read write", errno)
	fmt.Println("again", poke(a, 7), poke(a+page, 8), poke(a+2*page, 9), peek(a), peek(a+page), peek(a+2*page))
	_, errno = call(syscall.SYS_MUNMAP, a+2*page, page)
	report("munmap of the last", errno)
	_, errno = call(syscall.SYS_MPROTECT, a, 3*page, r)
	report("mprotect over a hole", errno)
	fmt.Println("what came before the hole changed all the same:", poke(a, 1))
	buffer := must(page, none)
	_, errno = call(sysGetrandom, buffer, 16, 0)
	report("a call that writes to PROT_NONE", errno)
	var ends [2]int
	syscall.Pipe(ends[:])
	_, errno = call(syscall.SYS_WRITE, uintptr(ends[1]), buffer, 16)
	report("a call that reads PROT_NONE", errno)
	_, errno = call(syscall.SYS_MPROTECT, buffer, page, r)
	report("mprotect read", errno)
	n, errno := call(syscall.SYS_WRITE, uintptr(ends[1]), buffer, 16)
	fmt.Println("a call that reads a page never touched:", n, errno == 0)
	writable := must(2*page, syscall.PROT_WRITE)
	fmt.Println("write only", peek(writable), poke(writable, 3), peek(writable))
	n, errno = call(syscall.SYS_WRITE, uintptr(ends[1]), writable+page, 16)
	fmt.Println("a call that reads a page that may only be written:", n, errno == 0)
}

func holes() {
	a := must(8*page, rw)
	for i := uintptr(0); i < 8; i++ {
		poke(a+i*page, byte(i+1))
	}
	call(syscall.SYS_MUNMAP, a+2*page, 2*page)
	fmt.Println("hole", peek(a+page), peek(a+2*page), peek(a+3*page), peek(a+4*page))
	_, errno := call(syscall.SYS_MUNMAP, a, 8*page)
	report("munmap across the hole", errno)
	fmt.Println("all gone", peek(a), peek(a+7*page))
}

func placed() {
	a := must(4*page, rw)
	poke(a+page, 9)
	b, errno := mmap(a+page, page, rw, anon|syscall.MAP_FIXED)
	fmt.Println("fixed over a mapping:", b == a+page, errno == 0, peek(a+page))
	_, errno = mmap(a+page, page, rw, anon|fixedNoReplace)
	report("fixed without replacing", errno)
	call(syscall.SYS_MUNMAP, a+page, page)
	b, errno = mmap(a+page, page, rw, anon|fixedNoReplace)
	fmt.Println("fixed into a hole:", b == a+page, errno == 0)
	call(syscall.SYS_MUNMAP, a+page, page)
	b, _ = mmap(a+page, page, rw, anon)
	fmt.Println("a free hint is taken:", b == a+page)
	b, _ = mmap(a+page, page, rw, anon)
	fmt.Println("a taken hint is not:", b != a+page && b != 0)
	_, errno = mmap(0, page, rw, anon|syscall.MAP_FIXED)
	fmt.Println("the null page:", errno != 0 || peek(8) == "0")
}

func moved() {
	a := must(2*page, rw)
	poke(a, 11)
	poke(a+page, 12)
	b, errno := call(syscall.SYS_MREMAP, a, 2*page, 64*page, mremapMayMove)
	report("mremap grows", errno)
	fmt.Println("kept", peek(b), peek(b+page), "new", peek(b+2*page), peek(b+63*page))
	c, errno := call(syscall.SYS_MREMAP, b, 64*page, page, 0)
	report("mremap shrinks", errno)
	fmt.Println("in place", b == c, peek(c), "cut off", peek(c+page))
	target := must(4*page, none)
	d, errno := call(syscall.SYS_MREMAP, c, page, 2*page, mremapMayMove|mremapFixed, target+page)
	report("mremap fixed", errno)
	fmt.Println("moved", d == target+page, peek(d), peek(d+page), "old place", peek(c))
	e := must(4*page, rw)
	call(syscall.SYS_MUNMAP, e+page, page)
	_, errno = call(syscall.SYS_MREMAP, e, 3*page, 4*page, mremapMayMove)
	report("mremap across a hole", errno)
	f := must(3*page, rw)
	_, errno = call(syscall.SYS_MREMAP, f, page, 2*page, 0)
	report("mremap without room", errno)
}

func advised() {
	a := must(4*page, rw)
	fmt.Println("resident before", resident(a, 4))
	poke(a, 1)
	poke(a+2*page, 3)
	fmt.Println("resident touched", resident(a, 4))
	_, errno := call(syscall.SYS_MADVISE, a, 2*page, syscall.MADV_DONTNEED)
	report("dontneed", errno)
	fmt.Println("zero again", peek(a), "kept", peek(a+2*page))
	_, errno = call(syscall.SYS_MADVISE, a, page, madvFree)
	report("free", errno)
	_, errno = call(syscall.SYS_MADVISE, a, 4*page, madvPopulate)
	report("populate", errno)
	fmt.Println("resident populated", resident(a, 4))
	for _, advice := range []uintptr{0, 1, 2, 3, 10, 14, 15, 16, 17} {
		_, errno = call(syscall.SYS_MADVISE, a, 4*page, advice)
		report(fmt.Sprint("advice ", advice), errno)
	}
	b, errno := mmap(0, 8*page, rw, anon|syscall.MAP_POPULATE)
	report("populated at once", errno)
	fmt.Println("resident", resident(b, 8))
	call(syscall.SYS_MUNMAP, b+page, page)
	_, errno = call(syscall.SYS_MADVISE, b, 8*page, syscall.MADV_DONTNEED)
	report("dontneed across a hole", errno)
}

func broken() {
	start, errno := call(syscall.SYS_BRK, 0)
	report("brk 0", errno)
	end, _ := call(syscall.SYS_BRK, start+5*page)
	fmt.Println("grown", end == start+5*page, peek(start+4*page), poke(start+4*page, 1))
	end, _ = call(syscall.SYS_BRK, start+1)
	fmt.Println("shrunk", end == start+1)
	end, _ = call(syscall.SYS_BRK, start+5*page)
	fmt.Println("zero again", peek(start+4*page))
	end2, _ := call(syscall.SYS_BRK, 1)
	fmt.Println("below the start is refused", end2 == end)
	end2, _ = call(syscall.SYS_BRK, 1<<47)
	fmt.Println("beyond user space is refused", end2 == end)
}

// huge touches a 2 MiB-aligned range, gives back parts of it and checks the rest: a large page must split.
func huge() {
	a := must(4*sizeHuge, rw)
	call(syscall.SYS_MADVISE, a, 4*sizeHuge, 14)
	base := (a + sizeHuge - 1) &^ (sizeHuge - 1)
	for i := uintptr(0); i < sizeHuge; i += page {
		poke(base+i, byte(i/page))
	}
	call(syscall.SYS_MADVISE, base+16*page, page, syscall.MADV_DONTNEED)
	call(syscall.SYS_MPROTECT, base+32*page, page, r)
	call(syscall.SYS_MUNMAP, base+48*page, page)
	good := true
	for i := uintptr(0); i < 512; i++ {
		want := fmt.Sprint(byte(i))
		switch i {
		case 16:
			want = "0"
		case 48:
			want = "fault"
		}
		good = good && peek(base+i*page) == want
	}
	fmt.Println("split as asked:", good, poke(base+32*page, 1), poke(base+33*page, 1))
	_, errno := call(syscall.SYS_MREMAP, base+64*page, 8*page, 16*page, mremapMayMove)
	report("mremap out of a large page", errno)
	fmt.Println("neighbours kept", peek(base+63*page), peek(base+72*page), "gone", peek(base+64*page))

	// What sets a part of a large page apart without touching it: all of it can still go at once.
	for i, apart := range []uintptr{syscall.SYS_MLOCK, syscall.SYS_MADVISE} {
		b := must(4*sizeHuge, rw)
		call(syscall.SYS_MADVISE, b, 4*sizeHuge, 14)
		base := (b + sizeHuge - 1) &^ (sizeHuge - 1)
		poke(base, 1)
		poke(base+16*page, 2)
		_, errno := call(apart, base+16*page, page, 15)
		report(fmt.Sprint("a part set apart ", i), errno)
		_, errno = call(syscall.SYS_MUNMAP, base, sizeHuge)
		report("munmap of all", errno)
	}
}
