// Signals by the raw calls: actions, masks, alternate stacks, siginfo and registers, queued real-time signals, waiting
// for them, interval and POSIX timers. Results are printed; what depends on addresses or time is a verdict.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int count;
static volatile siginfo_t last;
static sigjmp_buf back;
static char other_stack[65536];
static volatile int on_other_stack;

static void record(int number, siginfo_t *info, void *context) {
    char here;
    count++;
    memcpy((void *)&last, info, sizeof last);
    on_other_stack = &here >= other_stack && &here < other_stack + sizeof other_stack;
}

static void escape(int number, siginfo_t *info, void *context) {
    record(number, info, context);
    siglongjmp(back, 1);
}

static void skip(int number, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    record(number, info, context);
    u->uc_mcontext.gregs[REG_RIP] += 2;   // over the faulting instruction, which is two bytes long
    u->uc_mcontext.gregs[REG_RBX] = 4711; // and with a register of our choice
}

static void action(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction a = {.sa_flags = SA_SIGINFO | flags};
    a.sa_sigaction = handler;
    sigemptyset(&a.sa_mask);
    printf("sigaction %d: %d\n", number, sigaction(number, &a, NULL) ? errno : 0);
}

static void faults(void) {
    action(SIGSEGV, escape, SA_ONSTACK);
    action(SIGFPE, escape, 0);
    action(SIGILL, skip, 0);
    action(SIGTRAP, record, 0);
    action(SIGBUS, escape, 0);
    if (!sigsetjmp(back, 1)) __asm__ volatile("xor %%ecx, %%ecx; div %%ecx" : : : "eax", "ecx", "edx");
    printf("divide: signal %d code %d\n", last.si_signo, last.si_code);
    if (!sigsetjmp(back, 1)) *(volatile int *)16 = 1;
    printf("null: signal %d code %d address %p other stack %d\n", last.si_signo, last.si_code, last.si_addr, on_other_stack);
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(back, 1)) *page = 1;
    printf("read-only: signal %d code %d address right %d\n", last.si_signo, last.si_code, last.si_addr == page);
    if (!sigsetjmp(back, 1)) *(volatile int *)(uintptr_t)0x800000000000 = 1;
    printf("non-canonical: signal %d code %d address %p\n", last.si_signo, last.si_code, last.si_addr);
    long register_b;
    __asm__ volatile("xor %%ebx, %%ebx; ud2" : "=b"(register_b));
    printf("invalid instruction: signal %d code %d, rbx after it %ld\n", last.si_signo, last.si_code, register_b);
    __asm__ volatile("int3");
    printf("breakpoint: signal %d code %d\n", last.si_signo, last.si_code);
    if (!sigsetjmp(back, 1)) __asm__ volatile("hlt");
    printf("privileged: signal %d code %d address %p\n", last.si_signo, last.si_code, last.si_addr);
    if (!sigsetjmp(back, 1)) ((void (*)(void))page)();
    printf("no-execute: signal %d code %d address right %d\n", last.si_signo, last.si_code, last.si_addr == page);
}

static void masks(void) {
    sigset_t set, old, pending;
    action(SIGUSR1, record, 0);
    action(SIGRTMIN + 3, record, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, &old);
    count = 0;
    for (int i = 0; i < 5; i++) {
        kill(getpid(), SIGUSR1);
        union sigval value = {.sival_int = 100 + i};
        if (sigqueue(getpid(), SIGRTMIN + 3, value)) printf("sigqueue %d\n", errno);
    }
    sigpending(&pending);
    printf("pending %d %d, delivered %d\n", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGRTMIN + 3), count);
    siginfo_t info;
    int got = sigwaitinfo(&set, &info);
    printf("waited for: %d code %d, mine %d\n", got, info.si_code, info.si_pid == getpid() || info.si_pid == 0);
    for (int i = 0; i < 2; i++) {
        got = sigwaitinfo(&set, &info);
        printf("waited for: %d code %d value %d\n", got - SIGRTMIN, info.si_code, info.si_value.sival_int);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("delivered after unblocking: %d, the last with value %d\n", count, last.si_value.sival_int);
    struct timespec brief = {0, 2000000};
    got = sigtimedwait(&set, &info, &brief);
    printf("nothing to wait for: %d %d\n", got, errno);
    signal(SIGUSR1, SIG_IGN);
    kill(getpid(), SIGUSR1);
    signal(SIGUSR1, SIG_DFL);
    puts("an ignored signal is gone");
    struct sigaction a = {.sa_handler = SIG_IGN};
    printf("SIGKILL can't be handled: %d\n", sigaction(SIGKILL, &a, NULL) ? errno : 0);
    printf("no such signal: %ld %d\n", syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), errno);
    printf("wrong size: %ld %d\n", syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 16), errno);
    printf("wrong how: %ld %d\n", syscall(SYS_rt_sigprocmask, 9, &set, NULL, 8), errno);
}

static volatile int depth, deepest;
static void nested(int number, siginfo_t *info, void *context) {
    if (++depth > deepest) deepest = depth;
    if (count++ < 3) kill(getpid(), number);
    depth--;
}

static void flags(void) {
    count = depth = deepest = 0;
    action(SIGUSR2, nested, 0);
    kill(getpid(), SIGUSR2);
    printf("handled %d times, deepest %d\n", count, deepest);
    count = depth = deepest = 0;
    action(SIGUSR2, nested, SA_NODEFER);
    kill(getpid(), SIGUSR2);
    printf("without deferral %d times, deepest %d\n", count, deepest);
    action(SIGUSR2, record, SA_RESETHAND);
    kill(getpid(), SIGUSR2);
    struct sigaction a;
    sigaction(SIGUSR2, NULL, &a);
    printf("reset after one: %d\n", a.sa_handler == SIG_DFL);
    stack_t now, bad = {.ss_sp = other_stack, .ss_size = 100}, off = {.ss_flags = SS_DISABLE};
    printf("signal stack too small: %d %d\n", sigaltstack(&bad, NULL), errno);
    sigaltstack(NULL, &now);
    printf("signal stack: ours %d size %zu flags %d\n", now.ss_sp == other_stack, now.ss_size, now.ss_flags);
    printf("signal stack off: %d\n", sigaltstack(&off, NULL));
    sigaltstack(NULL, &now);
    printf("flags now %d\n", now.ss_flags);
}

static pthread_t interrupted_thread, interrupter_thread;
static volatile int was_interrupted;

// Whoever it interrupts may not have come to its call yet when the first signal is there: there is one every 10 ms.
static void *interrupt(void *unused) {
    while (!was_interrupted) {
        usleep(10000);
        pthread_kill(interrupted_thread, SIGUSR1);
    }
    return NULL;
}

static void start_interrupter(void) {
    was_interrupted = 0;
    interrupted_thread = pthread_self();
    pthread_create(&interrupter_thread, NULL, interrupt, NULL);
}

static void stop_interrupter(void) {
    was_interrupted = 1;
    pthread_join(interrupter_thread, NULL);
}

static void interrupted(void) {
    int ends[2];
    char byte;
    if (pipe(ends)) return;
    action(SIGUSR1, record, 0);
    start_interrupter();
    ssize_t n = read(ends[0], &byte, 1);
    int problem = errno;
    stop_interrupter();
    printf("a read without SA_RESTART: %zd %d\n", n, problem);
    start_interrupter();
    struct timespec minute = {60, 0}, left = {0, 0};
    int result = nanosleep(&minute, &left);
    problem = errno;
    stop_interrupter();
    printf("a sleep: %d %d, time left %d\n", result, problem, left.tv_sec > 30 && left.tv_sec < 60);
    start_interrupter();
    sigset_t none;
    sigemptyset(&none);
    result = sigsuspend(&none);
    problem = errno;
    stop_interrupter();
    printf("sigsuspend: %d %d\n", result, problem);
}

static void timers(void) {
    action(SIGALRM, record, SA_RESTART);
    count = 0;
    struct itimerval interval = {{0, 5000}, {0, 5000}}, stop = {{0, 0}, {0, 0}}, value;
    setitimer(ITIMER_REAL, &interval, NULL);
    // A busy computer may make several expiries one.
    for (int i = 0; count < 4 && i < 1000; i++) usleep(5000);
    getitimer(ITIMER_REAL, &value);
    printf("interval of the real timer %ld, several fired %d\n", (long)value.it_interval.tv_usec, count >= 4);
    setitimer(ITIMER_REAL, &stop, &value);
    int before = count;
    usleep(15000);
    printf("stopped %d\n", count == before);

    action(SIGPROF, record, SA_RESTART);
    action(SIGVTALRM, record, SA_RESTART);
    for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
        count = 0;
        setitimer(which, &interval, NULL);
        struct timespec start, now;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
        do {
            for (volatile int i = 0; i < 1000000; i++) {}
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        } while (count < 3 && now.tv_sec - start.tv_sec < 5);  // a busy computer may make several expiries one
        setitimer(which, &stop, NULL);
        printf("timer %d of processor time fired %d\n", which, count >= 3);
    }

    timer_t timer;
    action(SIGRTMIN + 5, record, SA_RESTART);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 5, .sigev_value = {.sival_int = 77}};
    printf("timer_create: %d\n", timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec every = {{0, 4000000}, {0, 4000000}}, once = {{0, 0}, {0, 1}}, off = {{0, 0}, {0, 0}}, read_back;
    count = 0;
    timer_settime(timer, 0, &every, NULL);
    for (int i = 0; count < 4 && i < 1000; i++) usleep(4000);
    timer_gettime(timer, &read_back);
    timer_settime(timer, 0, &off, NULL);
    printf("fired %d, interval %ld, code %d, value %d\n", count >= 4, read_back.it_interval.tv_nsec, last.si_code, last.si_value.sival_int);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 5);
    sigprocmask(SIG_BLOCK, &set, NULL);
    timer_settime(timer, 0, &every, NULL);
    usleep(30000);
    count = 0;
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    printf("blocked, delivered %d\n", count >= 1);
    // Taken by a call, for a handler may have run twice before one asks how often the timer overran.
    sigprocmask(SIG_BLOCK, &set, NULL);
    usleep(30000);
    siginfo_t taken;
    int number = sigwaitinfo(&set, &taken);
    printf("taken %d, overran %d %d\n", number, taken.si_overrun >= 3, timer_getoverrun(timer) == taken.si_overrun);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    timer_settime(timer, 0, &off, NULL);
    count = 0;
    timer_settime(timer, TIMER_ABSTIME, &once, NULL);
    for (int i = 0; count < 1 && i < 1000; i++) usleep(2000);
    printf("a moment in the past fires at once %d\n", count == 1);
    printf("timer_delete: %d, again %ld", timer_delete(timer), syscall(SYS_timer_delete, 99));
    printf(" %d\n", errno);
    event.sigev_signo = 99;
    printf("timer with no such signal: %d %d\n", timer_create(CLOCK_MONOTONIC, &event, &timer), errno);
    event.sigev_signo = SIGUSR1;
    printf("timer with no such clock: %d %d\n", timer_create(55, &event, &timer), errno);
    struct timespec wrong = {0, 1000000000};
    printf("sleep of a wrong time: %ld %d\n", syscall(SYS_nanosleep, &wrong, NULL), errno);
}

int main(void) {
    stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    printf("sigaltstack: %d\n", sigaltstack(&stack, NULL));
    faults();
    masks();
    flags();
    interrupted();
    timers();
    fflush(stdout);
    raise(SIGABRT);
}
