// Signals instead of polling: O_ASYNC, F_SETOWN, F_SETOWN_EX and F_SETSIG on pipes, sockets and terminals.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef F_SETSIG
#define F_SETSIG 10
#define F_GETSIG 11
#endif
#ifndef F_SETOWN_EX
#define F_SETOWN_EX 15
#define F_GETOWN_EX 16
#endif
struct owner {
    int kind, id;
};

static void say(const char *what, int good) { printf("%s: %s\n", what, good ? "true" : "false"); }

// take waits up to so many milliseconds for a blocked signal: its siginfo, or a number of 0.
static siginfo_t take(int milliseconds) {
    siginfo_t got;
    sigset_t set;
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    memset(&got, 0, sizeof got);
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGRTMIN + 3);
    if (sigtimedwait(&set, &got, &time) < 0)
        memset(&got, 0, sizeof got);
    return got;
}

static void drain(void) {
    while (take(0).si_signo != 0)
        ;
}

static void pipes(void) {
    int ends[2];
    char bytes[16];
    pipe(ends);
    say("nobody owns a new pipe", fcntl(ends[0], F_GETOWN) == 0 && fcntl(ends[0], F_GETSIG) == 0);
    say("owner", fcntl(ends[0], F_SETOWN, getpid()) == 0 && fcntl(ends[0], F_GETOWN) == getpid());
    write(ends[1], "a", 1);
    say("without O_ASYNC nothing comes", take(50).si_signo == 0);
    read(ends[0], bytes, sizeof bytes);
    say("O_ASYNC", fcntl(ends[0], F_SETFL, O_ASYNC) == 0 && (fcntl(ends[0], F_GETFL) & O_ASYNC) != 0);
    write(ends[1], "b", 1);
    siginfo_t got = take(2000);
    say("SIGIO comes", got.si_signo == SIGIO && got.si_code == SI_KERNEL);
    read(ends[0], bytes, sizeof bytes);
    drain();
    say("F_SETSIG", fcntl(ends[0], F_SETSIG, SIGRTMIN + 3) == 0 && fcntl(ends[0], F_GETSIG) == SIGRTMIN + 3);
    write(ends[1], "c", 1);
    got = take(2000);
    say("with the descriptor", got.si_signo == SIGRTMIN + 3 && got.si_code == POLL_IN && got.si_fd == ends[0] &&
                                   (got.si_band & 0x41) == 0x41);
    read(ends[0], bytes, sizeof bytes);
    drain();
    say("and off again", fcntl(ends[0], F_SETFL, 0) == 0 && (fcntl(ends[0], F_GETFL) & O_ASYNC) == 0);
    write(ends[1], "d", 1);
    say("nothing comes then", take(50).si_signo == 0);
    fcntl(ends[0], F_SETFL, O_ASYNC);
    fcntl(ends[0], F_SETOWN, 0);
    write(ends[1], "e", 1);
    say("nor without an owner", take(50).si_signo == 0);
    close(ends[0]);
    close(ends[1]);
}

static void sockets(void) {
    int ends[2];
    char bytes[16];
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    fcntl(ends[0], F_SETOWN, -getpgrp());
    say("a group owns", fcntl(ends[0], F_GETOWN) == -getpgrp());
    struct owner owner = {-1, -1};
    say("as F_GETOWN_EX says", fcntl(ends[0], F_GETOWN_EX, &owner) == 0 && owner.kind == 2 && owner.id == getpgrp());
    owner.kind = 0;
    owner.id = syscall(SYS_gettid);
    say("a thread", fcntl(ends[0], F_SETOWN_EX, &owner) == 0);
    fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    write(ends[1], "x", 1);
    say("is told", take(2000).si_signo == SIGIO);
    read(ends[0], bytes, sizeof bytes);
    drain();
    int copy = dup(ends[0]);
    close(ends[0]);
    write(ends[1], "y", 1);
    say("and of a duplicate", take(2000).si_signo == SIGIO);
    close(copy);
    drain();
    close(ends[1]);
    say("nothing of what is closed", take(50).si_signo == 0);
}

static void terminals(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    grantpt(master);
    unlockpt(master);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    fcntl(slave, F_SETOWN, getpid());
    fcntl(slave, F_SETFL, O_ASYNC);
    drain();
    write(master, "line\n", 5);
    say("a terminal tells", take(2000).si_signo == SIGIO);
    close(slave);
    close(master);
    drain();
}

static void others(void) {
    int ends[2];
    pipe(ends);
    int counter = eventfd(0, 0);
    fcntl(counter, F_SETOWN, getpid());
    say("a counter takes the flag", fcntl(counter, F_SETFL, O_ASYNC) == 0);
    eventfd_write(counter, 1);
    say("and tells nothing", take(50).si_signo == 0);
    struct owner owner = {3, getpid()};
    say("no such kind", fcntl(ends[0], F_SETOWN_EX, &owner) == -1 && errno == EINVAL);
    owner.kind = 1;
    owner.id = 4000000;
    say("no such process", fcntl(ends[0], F_SETOWN_EX, &owner) == -1 && errno == ESRCH);
    say("nor by F_SETOWN", fcntl(ends[0], F_SETOWN, 4000000) == -1 && errno == ESRCH);
    say("no such group", fcntl(ends[0], F_SETOWN, INT_MIN) == -1 && errno == EINVAL);
    say("no such signal", fcntl(ends[0], F_SETSIG, 65) == -1 && errno == EINVAL);
    say("a bad address", fcntl(ends[0], F_SETOWN_EX, (void *)8) == -1 && errno == EFAULT);
}

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    pipes();
    sockets();
    terminals();
    others();
    return 0;
}
