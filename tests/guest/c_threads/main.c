// Threads by the raw calls: clone with each of its flags that a library uses, futex in all its forms, the end of a
// thread as its joiner sees it, robust lists, and the vDSO called at its own address.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint32_t word, other, done;
static _Atomic int32_t parent_tid, child_tids[16];
static long ids[16];
static char stacks[16][65536] __attribute__((aligned(16)));

static long futex(_Atomic uint32_t *at, int operation, uint32_t value, const void *timeout, _Atomic uint32_t *second, uint32_t third) {
    return syscall(SYS_futex, at, operation, value, timeout, second, third);
}

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static void say(const char *what, long result) { printf("%s: %ld %d\n", what, result, result < 0 ? errno : 0); }

static int started(void *argument) {
    done = 1;
    while (word == 0) futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    return 0;
}

static int sleeper(void *argument) {
    while (word == 0) syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
    atomic_fetch_add(&done, 1);
    return 0;
}

static int bit_sleeper(void *argument) {
    syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, NULL, NULL, (uint32_t)(uintptr_t)argument);
    atomic_fetch_add(&done, (uint32_t)(uintptr_t)argument);
    return 0;
}

enum { THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM };

// musl's clone refuses threads that aren't its own, so this is the call itself: the child finds what to run on its stack.
// A stack is used again only after the thread that had it has ended, which clears its id.
static long start(int index, int (*body)(void *), void *argument, int flags) {
    flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    while (child_tids[index] != 0) syscall(SYS_futex, &child_tids[index], FUTEX_WAIT, child_tids[index], NULL, NULL, 0);
    void **stack = (void **)(stacks[index] + sizeof stacks[index]) - 2;
    stack[0] = body, stack[1] = argument;
    long result;
    register void *child __asm__("r10") = &child_tids[index];
    register long tls __asm__("r8") = 0;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "pop %%rax\n\t"
                     "pop %%rdi\n\t"
                     "call *%%rax\n\t"
                     "mov %%eax, %%edi\n\t"
                     "mov $60, %%eax\n\t"
                     "syscall\n"
                     "1:"
                     : "=a"(result)
                     : "a"(SYS_clone), "D"((long)(THREAD | flags)), "S"(stack), "d"(&parent_tid), "r"(child), "r"(tls)
                     : "rcx", "r11", "memory");
    return ids[index] = result;
}

// What a thread is at, as /proc says it; X if it is gone.
static char state(long id) {
    char text[256], *end;
    snprintf(text, sizeof text, "/proc/self/task/%ld/stat", id);
    int file = open(text, O_RDONLY);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return 'X';
    text[length] = 0;
    end = strrchr(text, ')');
    return end[2];
}

// Waits until every thread that was started or woken sleeps again or has ended.
static void settle(void) {
    for (int i = 0; i < 16; i++)
        while (ids[i] != 0 && !strchr("SXZ", state(ids[i]))) usleep(1000);
}

static void clones(void) {
    long id = start(0, started, NULL, CLONE_PARENT_SETTID);
    while (!done) sched_yield();
    printf("clone: parent and child know its id: %d %d\n", parent_tid == id, child_tids[0] == id);
    word = 1;
    futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    while (child_tids[0] != 0) syscall(SYS_futex, &child_tids[0], FUTEX_WAIT, id, NULL, NULL, 0);
    puts("its end cleared the id and woke us");
    say("clone without a signal handler table", syscall(SYS_clone, CLONE_THREAD | CLONE_VM, stacks[0] + 1000, 0, 0, 0));
    say("clone with handlers but not memory", syscall(SYS_clone, CLONE_SIGHAND, stacks[0] + 1000, 0, 0, 0));
    // It cleared its id before it was gone.
    while (syscall(SYS_tgkill, getpid(), id, 0) == 0) sched_yield();
    say("tgkill of the ended thread", syscall(SYS_tgkill, getpid(), id, 0));
}

static void waits(void) {
    struct timespec brief = {0, 5000000}, wrong = {0, -1};
    word = 5;
    say("wait for another value", futex(&word, FUTEX_WAIT, 6, NULL, NULL, 0));
    long before = now();
    say("wait with a time limit", futex(&word, FUTEX_WAIT, 5, &brief, NULL, 0));
    printf("waited long enough %d\n", now() - before >= 5000000);
    say("wait with a wrong time", futex(&word, FUTEX_WAIT, 5, &wrong, NULL, 0));
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    say("bitset wait until a moment past", futex(&word, FUTEX_WAIT_BITSET, 5, &moment, NULL, FUTEX_BITSET_MATCH_ANY));
    clock_gettime(CLOCK_REALTIME, &moment);
    moment.tv_nsec += 3000000;
    if (moment.tv_nsec >= 1000000000) moment.tv_sec++, moment.tv_nsec -= 1000000000;
    say("bitset wait by the wall clock", futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &moment, NULL, FUTEX_BITSET_MATCH_ANY));
    say("bitset wait for no bit", futex(&word, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0));
    say("wait at an odd address", syscall(SYS_futex, (char *)&word + 1, FUTEX_WAIT, 5, NULL, NULL, 0));
    say("wait at no address", syscall(SYS_futex, 4096, FUTEX_WAIT, 5, NULL, NULL, 0));
    say("wake with nobody there", futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    say("no such operation", futex(&word, 99, 1, NULL, NULL, 0));
}

static void wakes(void) {
    word = 0;
    done = 0;
    for (int i = 0; i < 8; i++) start(i, sleeper, NULL, 0);
    settle();
    say("wake in vain: they look again and sleep", futex(&word, FUTEX_WAKE, 3, NULL, NULL, 0));
    settle();
    printf("done %u\n", done);
    word = 1;
    say("wake three", futex(&word, FUTEX_WAKE, 3, NULL, NULL, 0));
    settle();
    printf("done %u\n", done);
    say("wake all", futex(&word, FUTEX_WAKE, 1000, NULL, NULL, 0));
    settle();
    printf("done %u\n", done);

    word = 0;
    done = 0;
    for (int i = 0; i < 4; i++) start(i, bit_sleeper, (void *)(1ul << i), 0);
    settle();
    say("wake bits 0 and 2", futex(&word, FUTEX_WAKE_BITSET, 9, NULL, NULL, 5));
    settle();
    printf("done %u\n", done);
    say("wake the rest", futex(&word, FUTEX_WAKE_BITSET, 9, NULL, NULL, 0xffffffff));
    settle();
    printf("done %u\n", done);

    word = 0;
    done = 0;
    for (int i = 0; i < 6; i++) start(i, bit_sleeper, (void *)1ul, 0);
    settle();
    say("requeue with another value", futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)3, &other, 9));
    say("wake one, requeue three", futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)3, &other, 0));
    settle();
    printf("done %u\n", done);
    say("wake at the other word", futex(&other, FUTEX_WAKE, 9, NULL, NULL, 0));
    say("wake at the first", futex(&word, FUTEX_WAKE, 9, NULL, NULL, 0));
    settle();
    printf("done %u\n", done);

    word = 0;
    other = 7;
    done = 0;
    for (int i = 0; i < 2; i++) start(i, bit_sleeper, (void *)1ul, 0);
    settle();
    int add_one_if_seven = FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 7);
    say("wake_op", futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, add_one_if_seven));
    printf("the other word is %u\n", other);
    futex(&word, FUTEX_WAKE, 9, NULL, NULL, 0);
    settle();
}

static void robust(void) {
    say("set_robust_list of a wrong size", syscall(SYS_set_robust_list, &word, 1));
    void *head;
    size_t size;
    say("get_robust_list", syscall(SYS_get_robust_list, 0, &head, &size));
    printf("size %zu\n", size);
}

// The vDSO is looked up as libraries do it: program headers, dynamic section, symbol table.
static void *find_symbol(uintptr_t base, const char *wanted) {
    Elf64_Ehdr *header = (Elf64_Ehdr *)base;
    Elf64_Phdr *segments = (Elf64_Phdr *)(base + header->e_phoff);
    uintptr_t offset = 0;
    Elf64_Dyn *dynamic = NULL;
    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD) offset = base + segments[i].p_offset - segments[i].p_vaddr;
        if (segments[i].p_type == PT_DYNAMIC) dynamic = (Elf64_Dyn *)(base + segments[i].p_offset);
    }
    const char *names = NULL;
    Elf64_Sym *symbols = NULL;
    uint32_t *hash = NULL, *gnu = NULL;
    for (; dynamic && dynamic->d_tag; dynamic++) {
        if (dynamic->d_tag == DT_STRTAB) names = (const char *)(offset + dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_SYMTAB) symbols = (Elf64_Sym *)(offset + dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_HASH) hash = (uint32_t *)(offset + dynamic->d_un.d_ptr);
        if (dynamic->d_tag == DT_GNU_HASH) gnu = (uint32_t *)(offset + dynamic->d_un.d_ptr);
    }
    if (!symbols || !names || (!hash && !gnu)) return NULL;
    for (uint32_t i = 0; i < (hash ? hash[1] : 16); i++)
        if (symbols[i].st_shndx && !strcmp(names + symbols[i].st_name, wanted)) return (void *)(offset + symbols[i].st_value);
    return NULL;
}

static void vdso(void) {
    uintptr_t base = getauxval(AT_SYSINFO_EHDR);
    if (!base) {
        puts("no vDSO");
        return;
    }
    int (*gettime)(int, struct timespec *) = find_symbol(base, "__vdso_clock_gettime");
    int (*getday)(struct timeval *, void *) = find_symbol(base, "__vdso_gettimeofday");
    time_t (*seconds)(time_t *) = find_symbol(base, "__vdso_time");
    int (*getcpu)(unsigned *, unsigned *, void *) = find_symbol(base, "__vdso_getcpu");
    printf("vDSO: %d %d %d %d\n", gettime != NULL, getday != NULL, seconds != NULL, getcpu != NULL);
    if (!gettime || !getday || !seconds || !getcpu) return;
    static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_MONOTONIC_COARSE,
                                 CLOCK_REALTIME_COARSE, CLOCK_PROCESS_CPUTIME_ID, CLOCK_TAI};
    for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        struct timespec a, b, c;
        int first = syscall(SYS_clock_gettime, clocks[i], &a), second = gettime(clocks[i], &b), third = syscall(SYS_clock_gettime, clocks[i], &c);
        long long x = a.tv_sec * 1000000000ll + a.tv_nsec, y = b.tv_sec * 1000000000ll + b.tv_nsec, z = c.tv_sec * 1000000000ll + c.tv_nsec;
        printf("clock %d: %d %d %d, between two calls %d\n", clocks[i], first, second, third, x <= y && y <= z);
    }
    struct timespec t;
    printf("no such clock: %d\n", gettime(77, &t) != 0);
    struct timeval day;
    time_t stored;
    printf("time of day agrees: %d %d\n", getday(&day, NULL), day.tv_sec - time(NULL) < 2 && seconds(&stored) == stored);
    unsigned processor = 99, node = 99;
    printf("getcpu: %d %d %u\n", getcpu(&processor, &node, NULL), processor < 64, node);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    clones();
    waits();
    wakes();
    robust();
    vdso();
    return 0;
}
