"""What a program learns from the instructions that UMIP refuses: Linux's constants, never the kernel's addresses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.boot.catalogue import Run
from tests.boot.running import in_image, on_linux
from tests.boot.toolchains import C_COMPILERS

PROGRAM = r"""
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static unsigned char *page, bytes[12];
static uint64_t word;

static void refused(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *) context)->uc_mcontext.gregs;
    long where = (long) info->si_addr, inside = where - (long) page;
    printf("signal %d code %d at %s%+ld", number, info->si_code,
           inside >> 12 ? "" : "page ", inside >> 12 ? where : inside);
    printf(" trap %lld error %lld\n", (long long) registers[REG_TRAPNO], (long long) registers[REG_ERR]);
    siglongjmp(back, 1);
}

static void show(const char *name)
{
    printf("%s %016lx ", name, word);
    for (int i = 0; i < sizeof bytes; i++)
        printf("%02x", bytes[i]);
    puts("");
}

#define TRY(name, text)                                                                  \
    memset(bytes, 0xaa, sizeof bytes), word = -1;                                        \
    if (!sigsetjmp(back, 1)) {                                                           \
        asm volatile(text : "+a"(word) : "b"(bytes), "c"(2L), "d"(page + 4092) : "memory"); \
        show(name);                                                                      \
    }

int main(void)
{
    struct sigaction action = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    TRY("sgdt", "sgdt (%%rbx)")
    TRY("sidt", "sidt (%%rbx)")
    TRY("smsw", "smsw (%%rbx)")
    TRY("sldt", "sldt 2(%%rbx,%%rcx,4)")
    TRY("str", "str -4(%%rbx,%%rcx,2)")
    TRY("smsw64", "smsw %%rax")
    TRY("smsw32", "smsw %%eax")
    TRY("smsw16", "smsw %%ax")
    TRY("str32", "str %%eax")
    TRY("sldt64", "sldt %%rax")
    TRY("past the end", "sgdt (%%rdx)")
    TRY("nowhere", "sidt 0(,%%rax,8)")
    TRY("lgdt", "lgdt (%%rbx)")
    TRY("cr0", "mov %%cr0, %%rax")
    return 0;
}
"""
EXPECTED = """\
sgdt ffffffffffffffff 00000000feffffffffffaaaa
sidt ffffffffffffffff 00000000ffffffffffffaaaa
smsw ffffffffffffffff 3300aaaaaaaaaaaaaaaaaaaa
sldt ffffffffffffffff aaaaaaaaaaaaaaaaaaaa0000
str ffffffffffffffff 4000aaaaaaaaaaaaaaaaaaaa
smsw64 0000000080050033 aaaaaaaaaaaaaaaaaaaaaaaa
smsw32 ffffffff80050033 aaaaaaaaaaaaaaaaaaaaaaaa
smsw16 ffffffffffff0033 aaaaaaaaaaaaaaaaaaaaaaaa
str32 ffffffff00000040 aaaaaaaaaaaaaaaaaaaaaaaa
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused")
    (folder / "main.c").write_text(PROGRAM)
    command = [*C_COMPILERS["musl"], "-O1", "-o", folder / "refused", folder / "main.c"]
    subprocess.run(command, check=True)
    return folder / "refused"


def test_programs_are_told_what_linux_tells_them(program: Path, processors: int) -> None:
    outcome = in_image(program, Run("refused", memory=64, timeout=30), processors)
    assert outcome.status == 0
    assert outcome.output.startswith(EXPECTED)
    assert "past the end" not in outcome.output and "signal 11 code 1 at page +4092 trap 14 error 6" in outcome.output
    if "umip" in Path("/proc/cpuinfo").read_text():
        assert outcome.output == on_linux(program, Run("refused")).output
