"""What each exception of a program becomes: compared with what Linux on this machine makes of the same instructions."""

import ctypes
import struct

import pytest

from goanna.kernel.arch.x86_64.fault_signal import fault_signal, page_fault_error
from goanna.metal import jit
from tests.kernel.signal.c_program import needs_linux_oracle, output

# Name: how it is raised, and whether it is a page fault.
# ruff: noqa: E501
FAULTS = {
    "divide": "asm volatile(\"xorl %%eax, %%eax; xorl %%edx, %%edx; xorl %%ecx, %%ecx; divl %%ecx\" ::: \"eax\", \"ecx\", \"edx\");",
    "breakpoint": "asm volatile(\"int3\");",
    "debug": "asm volatile(\".byte 0xf1\");",
    "step": "asm volatile(\"pushfq; orl $0x100, (%rsp); popfq; nop\");",
    "invalid opcode": "asm volatile(\"ud2\");",
    "privileged": "asm volatile(\"hlt\");",
    "software interrupt": "asm volatile(\"int $0x21\");",
    "general protection": "*(volatile char *) 0x8000000000000000 = 1;",
    "stack": "asm volatile(\"movq $0x4000000000000000, %rbp; movb $0, (%rbp)\");",
    "alignment": "asm volatile(\"pushfq; orl $0x40000, (%%rsp); popfq; movl %0, %%eax\" :: \"m\" (*(int *) (page + 1)) : \"eax\");",
    "x87": "asm volatile(\"fninit; pushq $0x37b; fldcw (%rsp); fld1; fldz; fdivrp; fwait\");",
    "x87 invalid": "asm volatile(\"fninit; pushq $0x37e; fldcw (%rsp); fldz; fldz; fdivrp; fwait\");",
    "simd": "asm volatile(\"pushq $0x1d80; ldmxcsr (%rsp); xorps %xmm0, %xmm0; movl $1, %eax; cvtsi2ss %eax, %xmm1;\"\n"
            "\"divss %xmm0, %xmm1\");",
    "simd inexact": "asm volatile(\"pushq $0x0f80; ldmxcsr (%rsp); movl $3, %eax; cvtsi2ss %eax, %xmm0; movl $1, %eax;\"\n"
            "\"cvtsi2ss %eax, %xmm1; divss %xmm0, %xmm1\");",
    "read nothing": "*(volatile char *) 16;",
    "write nothing": "*(volatile char *) 16 = 1;",
    "write read-only": "*(volatile char *) code = 1;",
    "execute data": "((void (*)(void)) page)();",
    "read kernel": "*(volatile char *) 0xffffffff80000000;",
    "write kernel": "*(volatile char *) 0xffff888000000000 = 1;",
}  # fmt: skip

PROGRAM = """
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>
static sigjmp_buf back;
static char *page, *code;
static volatile long number, reason, where, trap, error, exact, flags, floats[2];
static void handler(int n, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *) context)->uc_mcontext.gregs;
    struct _libc_fpstate *f = ((ucontext_t *) context)->uc_mcontext.fpregs;
    number = n, reason = info->si_code, where = (long) info->si_addr, trap = r[REG_TRAPNO], error = r[REG_ERR];
    exact = where == r[REG_RIP], flags = r[REG_EFL], floats[0] = f->cwd | f->swd << 16, floats[1] = f->mxcsr;
    r[REG_EFL] &= ~0x40100;
    siglongjmp(back, 1);
}
int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    int all[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV};
    for (int i = 0; i < 5; i++) sigaction(all[i], &action, 0);
    page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    code = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CASES
}
"""
CASE = """
    if (!sigsetjmp(back, 1)) { FAULT }
    asm volatile("pushfq; andl $~0x40100, (%rsp); popfq");
    printf("%ld %ld %ld %ld %ld %ld %ld %ld %ld\\n", number, reason, where, trap, error, exact, flags, floats[0], floats[1]);
"""


@pytest.fixture(scope="module")
def theirs():
    source = PROGRAM.replace("CASES", "".join(CASE.replace("FAULT", each) for each in FAULTS.values()))
    lines = [[int(word) for word in line.split()] for line in output(source).splitlines()]
    return dict(zip(FAULTS, lines, strict=True))


@pytest.fixture(scope="module")
def unit():
    return jit(fault_signal, page_fault_error)


@needs_linux_oracle
@pytest.mark.parametrize("name", FAULTS)
def test_an_exception_becomes_the_signal_that_linux_makes_of_it(theirs, unit, name):
    number, reason, where, trap, error, exact, flags, control, mxcsr = theirs[name]
    if trap == 14:
        kernel = where < 0
        raised = error & ~4 & ~(1 if kernel else 0)
        assert unit.call(page_fault_error, raised, kernel) == error
        assert number == 11
        return
    area = bytearray(512)
    struct.pack_into("<I", area, 0, control & 0xFFFFFFFF)
    struct.pack_into("<I", area, 24, mxcsr & 0xFFFFFFFF)
    memory = (ctypes.c_uint8 * 512).from_buffer(area)
    ours = unit.call(fault_signal, trap, 0x1234, flags & (2**64 - 1), ctypes.addressof(memory))
    assert ours == (number, reason, 0x1234 if exact else where)
