// execve and what it resets, keeps and refuses; scripts; threads that end with it. Processes reached from outside: by
// descriptors of them, and by their memory.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
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

static void handler(int number, siginfo_t *info, void *context) {}

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
    int pipes[2];
    char byte;
    result("pipe", pipe(pipes));
    child = fork();
    if (child == 0) {
        int other = open("/proc/self/stat", O_RDONLY);
        dup2(other, 77);
        write(pipes[1], "x", 1);
        pause();
    }
    read(pipes[0], &byte, 1);
    close(pipes[0]);
    close(pipes[1]);
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
    return NULL;
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
    char **volatile nowhere = (char **)8;
    run("bad array", self, nowhere, some);
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
    descriptors();
    executing();
    reaching();
    say("end\n");
    return 0;
}
