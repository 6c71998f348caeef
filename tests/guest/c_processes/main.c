// Processes by the raw calls: copies of memory, shared memory, what clone's flags share, how ends, stops and
// continuations are told, orphans, groups and sessions, execve with all it resets, pidfds.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

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
    child = clone(borrower, stack + sizeof stack, CLONE_VM | SIGUSR1, (void *)8);
    signal(SIGUSR1, SIG_IGN);
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
        nap(200);
        _exit(2);
    }
    while (seen == 0) nap(1);
    say("told of the stop: code %d\n", seen);
    siginfo_of("stopped", P_PID, child, child, WSTOPPED | WNOWAIT);
    siginfo_of("stopped", P_PID, child, child, WSTOPPED);
    siginfo_of("told once", P_PID, child, child, WSTOPPED | WNOHANG);
    seen = 0;
    kill(child, SIGCONT);
    siginfo_of("goes on", P_PID, child, child, WCONTINUED);
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
        pid_t grandchild = fork();
        if (grandchild == 0) {
            say("new session %d\n", setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
            result("setpgid of a leader of a session", setpgid(0, 0));
            pause();
        }
        nap(50);
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
    // A stopped group that becomes an orphan is hung up.
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
    nap(20);
    status_of("a group nobody can continue", grandchild, WNOHANG | WUNTRACED);
    kill(grandchild, SIGKILL);
    waitpid(grandchild, NULL, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    close(pipes[0]);
    close(pipes[1]);
}

static void descriptors(void) {
    int pidfd = -1;
    pid_t child = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);
    if (child == 0) {
        pause();
        _exit(0);
    }
    say("pidfd %d flags %x\n", pidfd >= 0, fcntl(pidfd, F_GETFD));
    struct pollfd poll_for = {pidfd, POLLIN, 0};
    result("not ended", poll(&poll_for, 1, 0));
    siginfo_of("nothing yet", P_PIDFD, pidfd, child, WEXITED | WNOHANG);
    int epoll = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {.fd = 5}};
    result("watched", epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &event));
    result("asks", syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
    result("bad flags", syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 16));
    result("bad signal", syscall(SYS_pidfd_send_signal, pidfd, 99, NULL, 0));
    result("sent", syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0));
    result("ended", poll(&poll_for, 1, 10000));
    say("events %x\n", poll_for.revents);
    result("heard of", epoll_wait(epoll, &event, 1, 10000));
    siginfo_of("left", P_PIDFD, pidfd, child, WEXITED | WNOWAIT);
    siginfo_of("ended", P_PIDFD, pidfd, child, WEXITED);
    siginfo_of("gone", P_PIDFD, pidfd, child, WEXITED);
    result("sent to nobody", syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0));
    result("poll", poll(&poll_for, 1, 0));
    say("events %x\n", poll_for.revents);
    close(pidfd);
    close(epoll);
    siginfo_of("closed", P_PIDFD, pidfd, 0, WEXITED);
    result("open of none", syscall(SYS_pidfd_open, 99999, 0));
    result("open with flags", syscall(SYS_pidfd_open, getpid(), 1));
    result("open of -1", syscall(SYS_pidfd_open, -1, 0));
    child = fork();
    if (child == 0) {
        int other = open("/proc/self/stat", O_RDONLY);
        dup2(other, 77);
        pause();
    }
    nap(50);
    pidfd = syscall(SYS_pidfd_open, child, O_NONBLOCK);
    siginfo_of("would wait", P_PIDFD, pidfd, child, WEXITED);
    int got = syscall(SYS_pidfd_getfd, pidfd, 77, 0);
    char text[100] = {0};
    long length = got < 0 ? -1 : read(got, text, 99);
    say("another's file: %d\n", length > 0 && atoi(text) == child);
    result("another's closed file", syscall(SYS_pidfd_getfd, pidfd, 78, 0));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    result("a dead one's file", syscall(SYS_pidfd_getfd, pidfd, 77, 0));
    close(pidfd);
    close(got);
}

static void *in_a_thread(void *argument) {
    execl(self, self, "thread", argument, NULL);
    return NULL;
}

static void *forever(void *argument) {
    for (;;) pause();
}

static void run(const char *what, const char *path, char *const arguments[], char *const environment[]) {
    pid_t child = fork();
    if (child == 0) {
        execve(path, arguments, environment);
        say("%s: %s\n", what, strerror(errno));
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    say("%s: %x\n", what, status);
}

static void executing(void) {
    static const char *files[] = {"script", "second", "loop", "empty", "missing", "text", "link"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[64];
        snprintf(name, sizeof name, "/tmp/goanna-%s", files[i]);
        unlink(name);
    }
    char *none[] = {NULL}, *plain[] = {"name", "report", "b c", "", NULL}, *some[] = {"A=1", "B=", NULL};
    run("execve", self, plain, some);
    run("without a name", self, none, none);
    run("without arguments", self, NULL, NULL);
    run("a folder", "/dev", plain, some);
    run("a device", "/dev/null", plain, some);
    run("nothing", "/none", plain, some);
    run("an empty path", "", plain, some);
    run("no path", NULL, plain, some);
    run("below a file", "/dev/null/x", plain, some);
    run("a file that may not be run", "/proc/self/stat", plain, some);
    char *bad[] = {"x", (char *)8, NULL};
    run("bad arguments", self, bad, some);
    run("bad environment", self, plain, bad);
    run("bad array", self, (char **)8, some);
    size_t size = 131072;
    char *large = malloc(size + 1);
    memset(large, 'x', size);
    large[size - 1] = 0;
    char *longest[] = {"name", "length", large, NULL};
    run("the longest argument", self, longest, some);
    large[size - 1] = 'x';
    large[size] = 0;
    run("a longer argument", self, longest, some);
    large[100000] = 0;
    char **many = calloc(101, sizeof *many);
    many[0] = "name";
    many[1] = "length";
    for (int i = 2; i < 19; i++) many[i] = large;
    run("much", self, many, some);
    for (int i = 2; i < 100; i++) many[i] = large;
    run("too much", self, many, some);
    // Scripts.
    int script = open("/tmp/goanna-script", O_CREAT | O_WRONLY, 0755);
    char line[400];
    int length = snprintf(line, sizeof line, "#! %s \t report one argument \nrest\n", self);
    write(script, line, length);
    run("a script open for writing", "/tmp/goanna-script", plain, some);
    close(script);
    run("a script", "/tmp/goanna-script", plain, some);
    run("a script without a name", "/tmp/goanna-script", none, some);
    script = open("/tmp/goanna-second", O_CREAT | O_WRONLY, 0755);
    write(script, "#!/tmp/goanna-script x\n", 23);
    close(script);
    run("a script of a script", "/tmp/goanna-second", plain, some);
    script = open("/tmp/goanna-loop", O_CREAT | O_WRONLY, 0755);
    write(script, "#!/tmp/goanna-loop\n", 19);
    close(script);
    run("a script of itself", "/tmp/goanna-loop", plain, some);
    script = open("/tmp/goanna-empty", O_CREAT | O_WRONLY, 0755);
    write(script, "#!   \n", 6);
    close(script);
    run("a script of nothing", "/tmp/goanna-empty", plain, some);
    script = open("/tmp/goanna-missing", O_CREAT | O_WRONLY, 0755);
    write(script, "#!/none", 7);
    close(script);
    run("a script of what is not there", "/tmp/goanna-missing", plain, some);
    script = open("/tmp/goanna-text", O_CREAT | O_WRONLY, 0755);
    write(script, "hello", 5);
    close(script);
    run("a text", "/tmp/goanna-text", plain, some);
    script = open("/tmp/goanna-text", O_TRUNC | O_WRONLY);
    close(script);
    run("an empty file", "/tmp/goanna-text", plain, some);
    chmod("/tmp/goanna-script", 0644);
    run("a script that may not be run", "/tmp/goanna-script", plain, some);
    chmod("/tmp/goanna-script", 0755);
    // execveat.
    int directory = open("/tmp", O_RDONLY | O_DIRECTORY), file = open(self, O_RDONLY | O_CLOEXEC);
    symlink(self, "/tmp/goanna-link");
    struct { const char *what; int at; const char *path; int flags; } tries[] = {
        {"execveat", directory, "goanna-script", 0},
        {"execveat of a link", directory, "goanna-link", 0},
        {"execveat of no link", directory, "goanna-link", AT_SYMLINK_NOFOLLOW},
        {"execveat of a descriptor", file, "", AT_EMPTY_PATH},
        {"execveat of no descriptor", 99, "", AT_EMPTY_PATH},
        {"execveat of an empty path", file, "", 0},
        {"execveat of a folder", directory, "", AT_EMPTY_PATH},
        {"execveat with flags", file, "", 1},
        {"execveat below a file", file, "x", 0},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        pid_t child = fork();
        if (child == 0) {
            syscall(SYS_execveat, tries[i].at, tries[i].path, plain, some, tries[i].flags);
            say("%s: %s\n", tries[i].what, strerror(errno));
            _exit(1);
        }
        status_of(tries[i].what, child, 0);
    }
    fcntl(directory, F_SETFD, FD_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        syscall(SYS_execveat, directory, "goanna-script", plain, some, 0);
        say("a script below a descriptor that is closed: %s\n", strerror(errno));
        _exit(1);
    }
    status_of("closed", child, 0);
    close(directory);
    close(file);
    // What is reset: handlers, the alternate stack, timers, descriptors that are to be closed. What stays: the mask,
    // what is ignored, what is pending, the real interval timer, the folder, limits.
    child = fork();
    if (child == 0) {
        static char stack[65536];
        stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
        sigaltstack(&alternate, NULL);
        signal(SIGUSR1, SIG_IGN);
        struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
        sigaction(SIGUSR2, &action, NULL);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGTERM);
        struct itimerval interval = {{0, 0}, {1000, 0}};
        setitimer(ITIMER_REAL, &interval, NULL);
        timer_t timer;
        timer_create(CLOCK_MONOTONIC, NULL, &timer);
        dup2(1, 50);
        dup3(1, 51, O_CLOEXEC);
        chdir("/proc");
        umask(027);
        prctl(PR_SET_NAME, "another", 0, 0, 0);
        execl(self, self, "inherited", NULL);
        _exit(1);
    }
    status_of("inherited", child, 0);
    // execve with other threads, from one that is not the first.
    child = fork();
    if (child == 0) {
        pthread_t thread;
        char number[20];
        snprintf(number, sizeof number, "%d", getpid());
        for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, forever, NULL);
        pthread_create(&thread, NULL, in_a_thread, number);
        for (;;) pause();
    }
    status_of("execve in a thread", child, 0);
    child = fork();
    if (child == 0) {
        pthread_t thread;
        char number[20];
        snprintf(number, sizeof number, "%d", getpid());
        pthread_create(&thread, NULL, in_a_thread, number);
        syscall(SYS_exit, 7);
    }
    status_of("execve after the first thread's end", child, 0);
    free(many);
    free(large);
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

static void reaching(void) {
    static char word[16] = "the parent's";
    char *private = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(private + 4096, 4096);
    int pipes[2];
    result("pipe", pipe(pipes));
    pid_t child = fork();
    if (child == 0) {
        strcpy(word, "the child's");
        memset(private, 'c', 4096);
        write(pipes[1], "x", 1);
        while (word[0] == 't') nap(1);
        _exit(word[0]);
    }
    char got[16] = {0}, page[4096];
    read(pipes[0], got, 1);
    struct iovec local = {got, sizeof got}, remote = {word, sizeof word};
    result("look into a child", process_vm_readv(child, &local, 1, &remote, 1, 0));
    say("%s, not %s\n", got, word);
    struct iovec here = {page, 4096}, parts[2] = {{private + 2048, 1024}, {private + 3072, 2048}};
    result("to the end of its memory", process_vm_readv(child, &here, 1, parts, 2, 0));
    struct iovec hole = {private + 4096, 10};
    result("into a hole", process_vm_readv(child, &here, 1, &hole, 1, 0));
    struct iovec bad = {(void *)8, 10};
    result("from a hole", process_vm_readv(child, &bad, 1, &remote, 1, 0));
    result("into code", process_vm_writev(child, &here, 1, &(struct iovec){(void *)reaching, 10}, 1, 0));
    result("with options", process_vm_readv(child, &local, 1, &remote, 1, 1));
    result("into nobody", process_vm_readv(99999, &local, 1, &remote, 1, 0));
    result("nothing", process_vm_readv(99999, &local, 0, &remote, 1, 0));
    char path[64], line[100] = {0}, own[100] = {0};
    snprintf(path, sizeof path, "/proc/%d/cmdline", child);
    int file = open(path, O_RDONLY), self_file = open("/proc/self/cmdline", O_RDONLY);
    long length = read(file, line, 99);
    say("its command line is the same: %d\n", length == read(self_file, own, 99) && memcmp(line, own, 99) == 0);
    close(file);
    close(self_file);
    struct iovec change = {"done", 5};
    result("change a child", process_vm_writev(child, &change, 1, &remote, 1, 0));
    status_of("changed", child, 0);
    close(pipes[0]);
    close(pipes[1]);
    munmap(private, 4096);
}

static void report(int count, char **arguments) {
    say("%d arguments:", count);
    for (int i = 0; i < count; i++) {
        char *slash = strrchr(arguments[i], '/');
        say(" [%s]", slash == NULL ? arguments[i] : slash + 1);
    }
    for (int i = 0; environ[i] != NULL; i++) say(" {%s}", environ[i]);
    say("\n");
}

static void inherited(void) {
    stack_t alternate;
    sigaltstack(NULL, &alternate);
    struct sigaction first, second;
    sigaction(SIGUSR1, NULL, &first);
    sigaction(SIGUSR2, NULL, &second);
    sigset_t mask, pending;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigpending(&pending);
    struct itimerval interval;
    getitimer(ITIMER_REAL, &interval);
    char folder[100], name[17] = {0};
    prctl(PR_GET_NAME, name, 0, 0, 0);
    mode_t old = umask(0);
    say("stack %x ignored %d reset %d blocked %d pending %d timer %d folder %s mask %o name %d\n", alternate.ss_flags,
        first.sa_handler == SIG_IGN, second.sa_handler == SIG_DFL, sigismember(&mask, SIGTERM),
        sigismember(&pending, SIGTERM), interval.it_value.tv_sec > 900, getcwd(folder, sizeof folder), old,
        strcmp(name, "another") != 0);
    result("kept", fcntl(50, F_GETFD));
    result("closed", fcntl(51, F_GETFD));
}

int main(int count, char **arguments) {
    if (count == 0 || arguments[0][0] == 0) {
        say("no name: %d\n", count);
        return 12;
    }
    if (count > 1) {
        if (strcmp(arguments[1], "exit") == 0) return atoi(arguments[2]);
        if (strcmp(arguments[1], "pause") == 0) pause();
        if (strncmp(arguments[1], "report", 6) == 0) report(count, arguments);
        if (strcmp(arguments[1], "length") == 0) say("%d arguments, the last of %d bytes\n", count, (int)strlen(arguments[count - 1]));
        if (strcmp(arguments[1], "inherited") == 0) inherited();
        if (strcmp(arguments[1], "thread") == 0)
            say("the same process: %d %d\n", atoi(arguments[2]) == getpid(), getpid() == syscall(SYS_gettid));
        return 11;
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
    descriptors();
    executing();
    usage();
    reaching();
    say("end\n");
    return 0;
}
