package main

import (
	"syscall"
	"time"
	"unsafe"
)

// random is a xorshift64* stream.
type random uint64

func (r *random) next() uint64 {
	x := uint64(*r)
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	*r = random(x)
	return x * 0x2545f4914f6cdd1d
}

func (r *random) below(n int) int { return int(r.next() % uint64(n)) }

func pick[T any](r *random, from []T) T { return from[r.below(len(from))] }

const (
	page         = 4096
	scratchSize  = 64 << 20
	guard        = 32 << 20
	firstFree    = 16 // descriptors below belong to the program and its runtime
	lowerHalf    = uintptr(1) << 47
	largestRange = uintptr(1 << 30)
)

var (
	// scratch is memory that calls may map, unmap and protect as they like.
	scratch uintptr
	// buffers is memory that stays readable and writable; what follows it may not be touched.
	buffers, buffersEnd uintptr
	readOnly, forbidden uintptr
)

// prepare lays out the memory that pointers point to, and opens some descriptors.
func prepare() {
	time.Sleep(time.Millisecond) // the runtime opens its own descriptors for its first timer
	// Wide forbidden ranges lie between all of it, so that a call that runs over an end hits nothing of the runtime's.
	base, _, errno := syscall.Syscall6(syscall.SYS_MMAP, 0, 4*guard+scratchSize, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE, ^uintptr(0), 0)
	if errno != 0 {
		panic(errno)
	}
	scratch = base + guard
	buffers = scratch + scratchSize + guard
	buffersEnd = buffers + 64*page
	readOnly = buffersEnd + guard
	forbidden = readOnly + page
	syscall.Syscall(syscall.SYS_MPROTECT, scratch, scratchSize, syscall.PROT_READ|syscall.PROT_WRITE)
	syscall.Syscall(syscall.SYS_MPROTECT, buffers, buffersEnd-buffers, syscall.PROT_READ|syscall.PROT_WRITE)
	syscall.Syscall(syscall.SYS_MPROTECT, readOnly, page, syscall.PROT_READ)
	for fd := 3; fd < firstFree-1; {
		fd, _ = syscall.Dup(2)
	}
	for i := 0; i < 6; i++ {
		var ends [2]int
		syscall.Pipe2(ends[:], syscall.O_NONBLOCK*(i&1))
		syscall.EpollCreate1(0)
		syscall.Syscall(290, uintptr(i), 0, 0)
	}
	for _, name := range []string{"/dev/null", "/dev/zero", "/dev/urandom", "/proc/self/auxv", "/proc/self/exe", "/"} {
		syscall.Open(name, syscall.O_RDONLY, 0)
	}
}

// kinds says what each argument of a call is like. What isn't listed gets any kind for every argument.
//
//	f descriptor   p pointer   l length   n small number   w flags   a address of scratch memory   t time within 2 ms
var kinds = map[uintptr]string{
	0: "fpl", 1: "fpl", 2: "pwn", 3: "f", 4: "pp", 5: "fp", 6: "pp", 7: "pnt", 8: "fln", 9: "alnwfl", 10: "aln", 11: "al",
	12: "a", 14: "npp8", 16: "fnp", 17: "fpll", 18: "fpll", 19: "fpn", 20: "fpn", 21: "pn", 22: "p", 23: "npppp", 25: "allwa",
	26: "alw", 27: "alp", 28: "aln", 32: "f", 33: "ff", 35: "Tp", 36: "np", 38: "npp", 40: "ffpl", 62: "Pn", 63: "p",
	72: "fnl", 74: "f", 76: "pl", 77: "fl", 78: "fpl", 79: "pl", 80: "p", 83: "pn", 87: "p", 89: "ppl", 96: "pp", 97: "np", 98: "np",
	99: "p", 100: "p", 127: "pn", 128: "ppTn", 132: "pp", 137: "pp", 149: "al", 150: "al", 157: "nllll", 186: "", 200: "Pn",
	201: "p", 202: "pnnTpn", 203: "nlp", 204: "nlp", 217: "fpl", 218: "p", 219: "", 222: "npp", 223: "nwpp", 224: "np", 225: "n",
	226: "n", 227: "np", 228: "np", 229: "np", 230: "nwTp", 232: "fpnt", 233: "fnfp", 234: "PPn", 247: "nnpnp", 254: "fpw",
	257: "fpwn", 262: "fppw", 267: "fppl", 269: "fpn", 270: "npppT", 271: "pnTp", 273: "pl", 274: "npp", 275: "fpfplw",
	281: "fpntpn", 282: "fpnw", 283: "nw", 284: "nn", 285: "fnll", 286: "fwpp", 287: "fp", 289: "fpnw", 290: "nw", 291: "w",
	292: "ffw", 293: "pw", 295: "fpnl", 296: "fpnl", 299: "fpnwT", 302: "nnxp", 309: "ppp", 318: "plw", 324: "nwn", 332: "fpwwp",
	334: "pnwn", 435: "", 436: "ffw", 437: "fppl", 439: "fpnw", 441: "fpnTp",
}

// kept is what would end the fuzzer, stop the machine or take away what the runtime stands on: for the last words.
var kept = map[uintptr]bool{
	13: true, 15: true, 34: true, 56: true, 57: true, 58: true, 59: true, 60: true, 101: true, 129: true, 130: true, 131: true,
	151: true, 158: true, 160: true, 169: true, 231: true, 246: true, 297: true, 322: true, 435: true,
}

// call makes up one call; false if it must not be made.
func (r *random) call() (number uintptr, a [6]uintptr, allowed bool) {
	switch r.below(20) {
	case 0:
		number = uintptr(r.below(512))
	case 1:
		number = pick(r, []uintptr{1 << 30, 1<<30 | 1, 1 << 31, 1 << 32, 1 << 63, ^uintptr(0), 335, 423, 470, 512, 600, 4095})
	default:
		number = pick(r, listed)
	}
	shape := kinds[number]
	for i := range a {
		if i < len(shape) && r.below(12) != 0 {
			a[i] = r.argument(shape[i])
		} else {
			a[i] = r.argument("fplnwatTx"[r.below(9)])
		}
	}
	if kept[number&0xffff] {
		return number, a, false
	}
	return number, a, r.restrain(number, &a)
}

var listed = func() (numbers []uintptr) {
	for number := uintptr(0); number < 512; number++ {
		if _, found := kinds[number]; found && !kept[number] {
			numbers = append(numbers, number)
		}
	}
	return numbers
}()

func (r *random) argument(kind byte) uintptr {
	switch kind {
	case 'f':
		return pick(r, []uintptr{uintptr(firstFree + r.below(60)), uintptr(firstFree + r.below(60)), uintptr(r.below(300)), 1 << 20, ^uintptr(0), ^uintptr(99), 1 << 31, 1 << 32})
	case 'p':
		return r.pointer()
	case 'l':
		return pick(r, []uintptr{0, 1, 7, 8, 16, 100, page - 1, page, page + 1, 3 * page, 2 << 20, uintptr(r.below(1 << 20)), largestRange,
			1 << 31, 1<<31 - 1, 1 << 32, 1 << 47, 1 << 63, 1<<63 - 1, ^uintptr(0), ^uintptr(page - 1)})
	case 'n':
		return pick(r, []uintptr{uintptr(r.below(8)), uintptr(r.below(64)), uintptr(r.below(1024)), ^uintptr(0), 1 << 31, uintptr(r.next())})
	case 'w':
		return pick(r, []uintptr{0, 1 << r.below(32), 1<<r.below(32) | 1<<r.below(32), uintptr(r.next() & r.next()), 0x22, 0x32, syscall.O_NONBLOCK, syscall.O_CLOEXEC})
	case 'a':
		return pick(r, []uintptr{scratch + uintptr(r.below(scratchSize))&^(page-1), scratch + uintptr(r.below(scratchSize))&^(2<<20-1), scratch + uintptr(r.below(scratchSize)),
			0, lowerHalf - page, lowerHalf, 0xffff800000000000, 0xffffffff80000000, 0xfffffffffffff000, 1 << 63, 0x0000900000000000})
	case 't':
		return pick(r, []uintptr{0, 1, 2})
	case 'T':
		return r.shortTime()
	case 'P':
		return pick(r, []uintptr{1, 1, 1, uintptr(r.below(40)), 0, ^uintptr(0), 1 << 31})
	case '8':
		return pick(r, []uintptr{8, 8, 8, 0, 16})
	case 'x':
		return uintptr(r.next())
	}
	return 0
}

func (r *random) pointer() uintptr {
	switch r.below(16) {
	case 0:
		return 0
	case 1:
		return pick(r, []uintptr{1, 8, page, lowerHalf - 1, lowerHalf - 8, lowerHalf, 0x0000800000000000, 0xffff800000000000, 0xffff800000100000,
			0xffffffff80000000, 0xffffffff80200000, 0xffffffffff600000, ^uintptr(0), ^uintptr(7), ^uintptr(page - 1), uintptr(r.next())})
	case 2:
		return pick(r, []uintptr{readOnly, forbidden, buffersEnd, readOnly + page - 4, forbidden - 4})
	case 3:
		return buffersEnd - uintptr(r.below(64)) // runs over the end
	case 4:
		return scratch + uintptr(r.below(scratchSize))
	case 5:
		return buffers + uintptr(r.below(63*page)) // unaligned
	}
	address := buffers + uintptr(r.below(60))*page + uintptr(r.below(page/8))*8
	words := (*[16]uint64)(toPointer(address))
	for i := 0; i < r.below(16); i++ {
		words[i] = pick(r, []uint64{0, 1, uint64(r.below(100)), uint64(r.pointerPlain()), r.next(), ^uint64(0), 1 << 31, uint64(firstFree + r.below(40)),
			0x6c65732f636f7270 /* "proc/sel" */, 0x2f7665642f /* "/dev/" */})
	}
	return address
}

func (r *random) pointerPlain() uintptr { return buffers + uintptr(r.below(60*page)) }

// shortTime is a timespec of at most 2 ms, or one that must be refused.
func (r *random) shortTime() uintptr {
	address := buffers + 60*page + uintptr(r.below(200))*16
	words := (*[2]uint64)(toPointer(address))
	words[0], words[1] = 0, uint64(r.below(2_000_000))
	switch r.below(12) {
	case 0:
		words[1] = pick(r, []uint64{1_000_000_000, ^uint64(0), 1 << 63})
	case 1:
		words[0] = pick(r, []uint64{^uint64(0), 1 << 63})
	}
	return address
}

func toPointer(address uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}

// restrain bends or refuses a call that would hurt the fuzzer rather than test the kernel.
func (r *random) restrain(number uintptr, a *[6]uintptr) bool {
	low := func(fd uintptr) bool { return fd&0xffffffff < firstFree }
	switch number {
	case 0, 1, 16, 17, 18, 19, 20, 72, 77, 285, 295, 296, 327, 328, 3, 32: // the program's own descriptors
		return !low(a[0])
	case 33, 292:
		return !low(a[0]) && !low(a[1])
	case 40, 275, 276, 278, 326:
		return !low(a[0]) && !low(a[1]) && !low(a[2])
	case 436: // close_range
		return !low(a[0])
	case 62, 200, 234: // kill, tkill, tgkill: not those that no handler of the runtime's catches
		s := a[1] & 0xffffffff
		if number == 234 {
			s = a[2] & 0xffffffff
		}
		return s != 9 && s != 19 && (s < 32 || s > 34)
	case 9, 10, 11, 25, 26, 27, 28, 149, 150, 216, 237, 325, 329: // memory: stay in scratch
		if number == 9 && a[3]&0x8000 != 0 && a[1] > 16<<20 { // MAP_POPULATE
			return false
		}
		if number == 9 && a[0] == 0 {
			a[3] &^= 0x10 // MAP_FIXED
			return a[1] <= 16<<20 || a[1] >= lowerHalf
		}
		return harmless(a[0], a[1]) && (number != 25 || harmless(a[4], a[2]) && a[2] <= 64<<20)
	case 202: // futex: only with a time limit
		if a[3] < page {
			a[3] = r.shortTime()
		}
		return true
	case 7, 232, 281: // poll, epoll_wait: not for ever
		if int32(a[2]) < 0 || int32(a[2]) > 2 {
			a[2] = 1
		}
		if number != 7 && (int32(a[3]) < 0 || int32(a[3]) > 2) {
			a[3] = 1
		}
		return true
	case 302, 160: // prlimit64: read only
		a[2] = 0
	case 157: // prctl: not the death signals of seccomp
		return a[0]&0xffffffff != 22
	case 438, 317, 442, 429, 165, 166, 155, 161, 167, 168, 170, 171, 246, 320, 175, 176, 313:
		return r.below(4) != 0
	}
	return true
}

// harmless is true for a range that lies within scratch, or that the kernel must refuse because it begins beyond user
// memory or wraps around. One that only ends too far up is changed up to the first hole, as on Linux.
func harmless(address, length uintptr) bool {
	if address >= scratch && address < scratch+scratchSize {
		return length <= scratch+scratchSize-address || address+length < address
	}
	return address >= lowerHalf-page || address+length < address
}

// remember gives back most new mappings outside scratch, so that a long run doesn't end for lack of memory.
func (w *worker) remember(number uintptr, a [6]uintptr, result uintptr, errno syscall.Errno) {
	if number == syscall.SYS_MMAP && errno == 0 && (result < scratch || result >= scratch+scratchSize) && w.below(4) != 0 {
		syscall.Syscall(syscall.SYS_MUNMAP, result, a[1], 0)
	}
}
