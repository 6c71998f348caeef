// Processes by the raw calls: copies of memory, shared memory, what clone's flags share, how ends, stops and
// continuations are told, orphans, groups and sessions, what is counted.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *self;
static volatile int seen;

// One write for each line, so that lines of several processes don't mix and none is printed twice after a fork.
static void say(const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (write(1, text, length) != length) _exit(99);
}

static void result(const char *what, long value) { say("%s: %ld %d\n", what, value < 0 ? -1 : value, value < 0 ? errno : 0); }

static void nap(long milliseconds) {
    struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
}

static void status_of(const char *what, pid_t child, int options) {
    int status = 0;
    pid_t got = waitpid(child, &status, options);
    say("%s: %s %x\n", what, got == child ? "it" : got == 0 ? "none" : got < 0 ? strerror(errno) : "another", status);
}

static void siginfo_of(const char *what, idtype_t type, id_t id, pid_t child, int options) {
    siginfo_t info;
    memset(&info, 0x55, sizeof info);
    int got = waitid(type, id, &info, options);
    say("%s: %d %d signo %d code %d pid %d uid %d status %d\n", what, got, got ? errno : 0, info.si_signo, info.si_code,
        info.si_pid == child, info.si_uid, info.si_status);
}

static void handler(int number, siginfo_t *info, void *context) { seen = info->si_code; }

static void copies(void) {
    static int word = 1;
    size_t size = 8 << 20;
    char *private = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *wiped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *unseen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < size; i += 4096) private[i] = i >> 12;
    wiped[0] = 7;
    result("wipe on fork", madvise(wiped, 8192, 18));
    result("don't fork", madvise(unseen, 4096, MADV_DONTFORK));
    pid_t child = fork();
    if (child == 0) {
        int good = 1;
        for (size_t i = 0; i < size; i += 4096) {
            good &= private[i] == (char)(i >> 12);
            private[i] = 1;
        }
        word = 2;
        *shared = 42;
        say("child: %d %d wiped %d unseen %d\n", good, word, wiped[0], (int)syscall(SYS_mincore, unseen, 4096, &word));
        _exit(5);
    }
    status_of("copy", child, 0);
    int good = 1;
    for (size_t i = 0; i < size; i += 4096) good &= private[i] == (char)(i >> 12);
    say("parent: %d %d shared %d wiped %d\n", good, word, *shared, wiped[0]);
    // Chains of copies: each generation changes one page and hands the rest on.
    for (int depth = 0; depth < 8; depth++) {
        child = fork();
        if (child != 0) {
            int status;
            waitpid(child, &status, 0);
            if (depth == 0) {
                say("chain: %x\n", status);
                break;
            }
            _exit(WEXITSTATUS(status));
        }
        private[depth * 4096] = 100 + depth;
        if (depth == 7) {
            int sum = 0;
            for (int i = 0; i < 8; i++) sum += private[i * 4096] == 100 + i;
            _exit(sum);
        }
    }
    munmap(private, size);
}

static int borrowed;

static int borrower(void *argument) {
    borrowed = 5;
    nap(20);
    _exit((long)argument);
}

static void borrowing(void) {
    pid_t child = vfork();
    if (child == 0) {
        borrowed = 3;
        _exit(4);
    }
    status_of("vfork", child, 0);
    say("borrowed %d\n", borrowed);
    static char stack[65536] __attribute__((aligned(16)));
    child = clone(borrower, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)6);
    say("borrowed %d\n", borrowed);
    status_of("clone", child, 0);
    child = clone(borrower, stack + sizeof stack, CLONE_VM, (void *)7);
    status_of("a clone that tells by no signal", child, 0);
    status_of("... waited for as such", child, __WCLONE);
    signal(SIGUSR1, SIG_IGN);
    child = clone(borrower, stack + sizeof stack, CLONE_VM | SIGUSR1, (void *)8);
    status_of("... by another signal", child, __WALL);
    signal(SIGUSR1, SIG_DFL);
    child = vfork();
    if (child == 0) {
        execl(self, self, "exit", "9", NULL);
        _exit(1);
    }
    status_of("vfork and execve", child, 0);
}

static void sharing(void) {
    int descriptor = open("/dev/null", O_RDONLY);
    pid_t child = syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        close(descriptor);
        _exit(chdir("/proc") != 0);
    }
    status_of("shared files", child, 0);
    char folder[100];
    result("closed by the child", fcntl(descriptor, F_GETFD));
    say("moved by the child: %s\n", getcwd(folder, sizeof folder));
    result("back", chdir("/"));
    descriptor = open("/dev/null", O_RDONLY);
    child = fork();
    if (child == 0) {
        close(descriptor);
        _exit(chdir("/proc") != 0);
    }
    status_of("own files", child, 0);
    result("not closed by the child", fcntl(descriptor, F_GETFD));
    say("not moved by the child: %s\n", getcwd(folder, sizeof folder));
    close(descriptor);
    int tid = 0;
    child = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, 0, &tid, &tid, 0);
    if (child == 0) _exit(tid == getpid() ? 0 : 1);
    say("told the parent: %d\n", tid == child);
    status_of("told the child", child, 0);
    errno = 0;
    result("shared handlers need shared memory", syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0));
}

static void ends(void) {
    pid_t child = fork();
    if (child == 0) pause();
    siginfo_of("nothing yet", P_PID, child, child, WEXITED | WNOHANG);
    kill(child, SIGKILL);
    siginfo_of("left as it is", P_PID, child, child, WEXITED | WNOWAIT);
    siginfo_of("killed", P_ALL, 0, child, WEXITED);
    siginfo_of("gone", P_PID, child, child, WEXITED);
    child = fork();
    if (child == 0) _exit(300);
    siginfo_of("exited", P_PGID, getpgrp(), child, WEXITED);
    child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        *(volatile int *)16 = 1;
    }
    siginfo_of("crashed", P_PID, child, child, WEXITED);
    siginfo_of("no options", P_ALL, 0, 0, 0);
    siginfo_of("bad options", P_ALL, 0, 0, WEXITED | 64);
    siginfo_of("bad type", 9, 0, 0, WEXITED);
    siginfo_of("bad number", P_PID, 0, 0, WEXITED);
    result("wait4 with options it has not", wait4(-1, NULL, WEXITED, NULL));
    result("wait4 for the least number", wait4(-2147483647 - 1, NULL, 0, NULL));
    result("wait4 without children", wait4(-1, NULL, 0, NULL));
    result("wait4 for a group without members", wait4(-99999, NULL, 0, NULL));
    int pipes[2];
    result("pipe", pipe(pipes));
    for (int i = 0; i < 20; i++) {
        if (fork() == 0) {
            char byte;
            close(pipes[1]);
            while (read(pipes[0], &byte, 1) > 0) {}
            _exit(i);
        }
    }
    close(pipes[0]);
    close(pipes[1]);
    int sum = 0, status;
    for (int i = 0; i < 20; i++) {
        wait(&status);
        sum += WEXITSTATUS(status);
    }
    say("twenty: %d\n", sum);
}

static void telling(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGCHLD, &action, NULL);
    pid_t child = fork();
    if (child == 0) _exit(1);
    while (seen == 0) nap(1);
    say("told: code %d\n", seen);
    status_of("told", child, 0);
    seen = 0;
    child = fork();
    if (child == 0) {
        raise(SIGSTOP);
        for (;;) pause();
    }
    while (seen == 0) nap(1);
    say("told of the stop: code %d\n", seen);
    siginfo_of("stopped", P_PID, child, child, WSTOPPED | WNOWAIT);
    siginfo_of("stopped", P_PID, child, child, WSTOPPED);
    siginfo_of("told once", P_PID, child, child, WSTOPPED | WNOHANG);
    seen = 0;
    kill(child, SIGCONT);
    siginfo_of("goes on", P_PID, child, child, WCONTINUED);
    kill(child, SIGKILL);
    status_of("ended", child, 0);
    action.sa_flags |= SA_NOCLDSTOP;
    sigaction(SIGCHLD, &action, NULL);
    seen = 0;
    child = fork();
    if (child == 0) {
        setpgid(0, 0);
        raise(SIGTSTP);
        _exit(2);
    }
    status_of("stopped", child, WUNTRACED);
    say("not told of the stop: code %d\n", seen);
    kill(child, SIGTERM);
    kill(child, SIGCONT);
    status_of("ended", child, 0);
    action.sa_flags = SA_SIGINFO | SA_NOCLDWAIT;
    sigaction(SIGCHLD, &action, NULL);
    seen = 0;
    child = fork();
    if (child == 0) _exit(2);
    status_of("not to be waited for", child, 0);
    say("told all the same: code %d\n", seen);
    signal(SIGCHLD, SIG_IGN);
    child = fork();
    if (child == 0) _exit(2);
    status_of("ignored", child, 0);
    signal(SIGCHLD, SIG_DFL);
}

static void groups(void) {
    pid_t child = fork();
    if (child == 0) {
        say("session: %d group %d\n", getsid(0) == getsid(getppid()), getpgrp() == getpgid(getppid()));
        result("new group", setpgid(0, 0));
        say("leads %d\n", getpgrp() == getpid());
        result("setsid of a leader", setsid());
        int pipes[2];
        char byte;
        result("pipe", pipe(pipes));
        pid_t grandchild = fork();
        if (grandchild == 0) {
            say("new session %d\n", setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
            result("setpgid of a leader of a session", setpgid(0, 0));
            write(pipes[1], "x", 1);
            pause();
        }
        read(pipes[0], &byte, 1);
        result("into another session", setpgid(grandchild, getpid()));
        kill(-getpgid(grandchild), SIGTERM);
        status_of("killed by its group", grandchild, 0);
        _exit(0);
    }
    status_of("groups", child, 0);
    int pipes[2];
    result("pipe", pipe2(pipes, O_CLOEXEC));
    child = fork();
    if (child == 0) {
        execl(self, self, "pause", NULL);
        _exit(1);
    }
    char byte;
    close(pipes[1]);
    result("has run execve", read(pipes[0], &byte, 1));
    close(pipes[0]);
    result("group of one that has run execve", setpgid(child, 0));
    kill(child, SIGKILL);
    status_of("killed", child, 0);
    result("group of none", setpgid(99999, 0));
    result("negative group", setpgid(0, -1));
    // Three in a group: all get a signal to the group.
    pid_t first = fork();
    if (first == 0) pause();
    setpgid(first, first);
    pid_t second = fork();
    if (second == 0) pause();
    result("join", setpgid(second, first));
    result("to the group", kill(-first, 0));
    result("to the group", kill(-first, SIGUSR2));
    status_of("first", first, 0);
    status_of("second", second, 0);
    result("to nobody", kill(-first, 0));
    result("to nobody", kill(first, 0));
    // A zombie can be sent signals, and its group lives.
    first = fork();
    if (first == 0) _exit(0);
    siginfo_of("a zombie", P_PID, first, first, WEXITED | WNOWAIT);
    result("to a zombie", kill(first, SIGTERM));
    result("group of a zombie", setpgid(first, first));
    status_of("a zombie", first, 0);
}

static void orphans(void) {
    int pipes[2];
    result("pipe", pipe(pipes));
    result("subreaper", prctl(PR_SET_CHILD_SUBREAPER, 1));
    int is = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &is);
    say("is one %d\n", is);
    pid_t me = getpid();
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            while (getppid() != me) nap(1);
            char *text = "adopted";
            write(pipes[1], text, 7);
            _exit(33);
        }
        write(pipes[1], &grandchild, sizeof grandchild);
        _exit(0);
    }
    status_of("middle", child, 0);
    pid_t grandchild;
    read(pipes[0], &grandchild, sizeof grandchild);
    char text[8] = {0};
    read(pipes[0], text, 7);
    say("%s\n", text);
    status_of("orphan", grandchild, 0);
    // An orphan that is a zombie already.
    child = fork();
    if (child == 0) {
        grandchild = fork();
        if (grandchild == 0) _exit(44);
        siginfo_t info;
        waitid(P_PID, grandchild, &info, WEXITED | WNOWAIT);
        write(pipes[1], &grandchild, sizeof grandchild);
        _exit(0);
    }
    status_of("middle", child, 0);
    read(pipes[0], &grandchild, sizeof grandchild);
    status_of("zombie orphan", grandchild, 0);
    // The death of the maker.
    child = fork();
    if (child == 0) {
        grandchild = fork();
        if (grandchild == 0) {
            result("death signal", prctl(PR_SET_PDEATHSIG, SIGUSR1));
            write(pipes[1], &grandchild, sizeof grandchild);
            pause();
        }
        char word[sizeof grandchild];
        read(pipes[0], word, sizeof word);
        write(pipes[1], &grandchild, sizeof grandchild);
        _exit(0);
    }
    status_of("middle", child, 0);
    read(pipes[0], &grandchild, sizeof grandchild);
    status_of("told of the death", grandchild, 0);
    // A stopped group whose leader goes is no orphan while its new parent is of its session.
    child = fork();
    if (child == 0) {
        setpgid(0, 0);
        grandchild = fork();
        if (grandchild == 0) {
            raise(SIGSTOP);
            _exit(0);
        }
        siginfo_t info;
        waitid(P_PID, grandchild, &info, WSTOPPED);
        write(pipes[1], &grandchild, sizeof grandchild);
        _exit(0);
    }
    setpgid(child, child);
    status_of("leader", child, 0);
    read(pipes[0], &grandchild, sizeof grandchild);
    status_of("stopped still, for the new parent could continue it", grandchild, WNOHANG);
    kill(grandchild, SIGKILL);
    waitpid(grandchild, NULL, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    close(pipes[0]);
    close(pipes[1]);
}

static void usage(void) {
    struct rusage before, after;
    getrusage(RUSAGE_CHILDREN, &before);
    pid_t child = fork();
    if (child == 0) {
        struct timespec begin, now;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        do clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < 60);
        _exit(0);
    }
    struct rusage own;
    wait4(child, NULL, 0, &own);
    getrusage(RUSAGE_CHILDREN, &after);
    long used = (own.ru_utime.tv_sec + own.ru_stime.tv_sec) * 1000000 + own.ru_utime.tv_usec + own.ru_stime.tv_usec;
    long more = (after.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_utime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
                after.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_utime.tv_usec - before.ru_stime.tv_usec;
    say("used %d counted %d faults %d\n", used > 1000 && used < 60000000, more >= used - 20000, own.ru_minflt > 0);
    struct rlimit limit;
    child = fork();
    if (child == 0) pause();
    result("limit of a child", prlimit(child, RLIMIT_NOFILE, NULL, &limit));
    struct rlimit wanted = {100, limit.rlim_max};
    result("set", prlimit(child, RLIMIT_NOFILE, &wanted, NULL));
    result("limit of a child", prlimit(child, RLIMIT_NOFILE, NULL, &wanted));
    say("its %ld\n", (long)wanted.rlim_cur);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    result("limit of none", prlimit(child, RLIMIT_NOFILE, NULL, &limit));
}

int main(int count, char **arguments) {
    if (count > 1) {
        if (strcmp(arguments[1], "exit") == 0) return atoi(arguments[2]);
        pause();
    }
    char path[4096] = {0};
    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) return 1;
    self = path;
    copies();
    borrowing();
    sharing();
    ends();
    telling();
    groups();
    orphans();
    usage();
    say("end\n");
    return 0;
}
