// What the kernel costs in guest instructions: under QEMU's -icount shift=0 the time-stamp counter counts instructions
// one by one, so a difference of two readings is an exact cost. Each line is a name and the least cost of several rounds,
// with the cost of the loop around it taken away.
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 7, REPEATS = 200 };

static inline uint64_t counter(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline long call6(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}

static uint64_t least(uint64_t (*once)(void)) {
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t cost = once();
        if (cost < best) best = cost;
    }
    return best;
}

static uint64_t empty_loop(void) {
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) __asm__ volatile("" : : : "memory");
    return counter() - start;
}

static uint64_t getppids(void) {
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) call6(SYS_getppid, 0, 0, 0, 0, 0, 0);
    return counter() - start;
}

static uint64_t faults(void) {
    char *pages = mmap(NULL, (REPEATS + 1) * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(pages, (REPEATS + 1) * 4096, MADV_NOHUGEPAGE);
    pages[REPEATS * 4096] = 1;
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) *(volatile char *)(pages + i * 4096) = 1;
    uint64_t cost = counter() - start;
    munmap(pages, (REPEATS + 1) * 4096);
    return cost;
}

// Two threads hand a turn to and fro: each handing over is one wake, one wait and one switch of threads.
static volatile uint32_t turn;

static void hand_over(uint32_t mine, uint32_t next) {
    turn = next;
    call6(SYS_futex, (long)&turn, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    while (turn != mine) call6(SYS_futex, (long)&turn, FUTEX_WAIT_PRIVATE, next, 0, 0, 0);
}

static void *partner(void *unused) {
    while (turn != 2) call6(SYS_futex, (long)&turn, FUTEX_WAIT_PRIVATE, turn, 0, 0, 0);
    for (int i = 0; i < ROUNDS * REPEATS; i++) hand_over(2, 1);
    return NULL;
}

static uint64_t switches(void) {
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) hand_over(1, 2);
    return counter() - start;
}

// A thread that ends at once, cloned and waited for by the raw calls: no library in between.
static volatile int32_t child;
static char stack[8192] __attribute__((aligned(16)));

static uint64_t clones(void) {
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) {
        long result;
        child = 1;
        register long r10 __asm__("r10") = (long)&child;
        register long r8 __asm__("r8") = 0;
        __asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\tmov $60, %%eax\n\txor %%edi, %%edi\n\tsyscall\n1:"
                         : "=a"(result)
                         : "a"(SYS_clone), "D"((long)(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID)),
                           "S"(stack + sizeof stack), "d"(0), "r"(r10), "r"(r8)
                         : "rcx", "r11", "memory");
        while (child != 0) call6(SYS_futex, (long)&child, FUTEX_WAIT, 1, 0, 0, 0);
    }
    return counter() - start;
}

int main(void) {
    uint64_t loop = least(empty_loop);
    printf("getppid %lu\n", (least(getppids) - loop) / REPEATS);
    printf("page-fault %lu\n", (least(faults) - loop) / REPEATS);
    pthread_t thread;
    turn = 1;
    pthread_create(&thread, NULL, partner, NULL);
    usleep(1000);
    printf("futex-switch %lu\n", (least(switches) - loop) / (2 * REPEATS));
    turn = 2;
    call6(SYS_futex, (long)&turn, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    printf("clone-exit %lu\n", (least(clones) - loop) / REPEATS);
    fflush(stdout);
    _exit(0);
}
