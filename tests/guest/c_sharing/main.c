// What threads share and what they need not: descriptors and directories of their own, by clone's flags and by unshare,
// and what becomes of them when they make processes, run programs or end.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREAD (CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_SYSVSEM)
#define STACK (64 << 10)

static void say(const char *what, int good) { printf("%s: %s\n", what, good ? "true" : "false"); }

static atomic_int ended;
static int kept, opened, seen;
static char where[256];

// Raw threads make no calls of the C library that need its own thread structure.
static int change_both(void *unused) {
    opened = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY);
    syscall(SYS_close, kept);
    syscall(SYS_chdir, "/tmp");
    syscall(SYS_umask, 0);
    atomic_store(&ended, 1);
    syscall(SYS_exit, 0);
    return 0;
}

static int start(int (*function)(void *), int flags) {
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    atomic_store(&ended, 0);
    return clone(function, stack + STACK, flags, NULL);
}

// Waits for a thread until it is gone with all that it had: once no signal can be sent to it.
static void await(int thread) {
    while (!atomic_load(&ended) || syscall(SYS_tgkill, getpid(), thread, 0) == 0)
        usleep(1000);
}

static int is_open(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

static void try_clone(const char *name, int flags, int shares_files, int shares_place) {
    mode_t mask;
    chdir("/");
    umask(022);
    kept = open("/dev/zero", O_RDONLY);
    int thread = start(change_both, THREAD | flags);
    if (thread < 0) {
        printf("%s: %s\n", name, strerror(errno));
        return;
    }
    await(thread);
    printf("%s\n", name);
    say("  descriptor opened there is seen here", is_open(opened) == shares_files || opened == kept);
    say("  descriptor closed there is closed here", is_open(kept) != shares_files);
    getcwd(where, sizeof where);
    say("  directory", 0 == strcmp(where, shares_place ? "/tmp" : "/"));
    mask = umask(022);
    say("  mask of new files", mask == (shares_place ? 0 : 022));
    for (int each = 3; each < 20; each++)
        close(each);
}

static void *unshare_it(void *argument) {
    long flags = (long)argument;
    seen = unshare(flags);
    if (seen != 0) {
        seen = errno;
        return NULL;
    }
    seen = 0;
    close(kept);
    char name[64];
    snprintf(name, sizeof name, "/proc/thread-self/fd/%d", kept);
    say("  it sees its own descriptors", readlink(name, where, sizeof where) < 0);
    chdir("/tmp");
    // A process made here has this thread's things, not the others'.
    pid_t child = fork();
    if (child == 0) {
        getcwd(where, sizeof where);
        _exit((is_open(kept) ? 1 : 0) | (strcmp(where, "/tmp") ? 2 : 0));
    }
    int status = 0;
    waitpid(child, &status, 0);
    seen = WEXITSTATUS(status) << 8;
    return NULL;
}

static void try_unshare(const char *name, long flags, int own_files, int own_place) {
    pthread_t thread;
    chdir("/");
    kept = open("/dev/zero", O_RDONLY);
    pthread_create(&thread, NULL, unshare_it, (void *)flags);
    pthread_join(thread, NULL);
    printf("%s: %s, a child sees %x\n", name, strerror(seen & 0xff), seen >> 8);
    say("  the descriptor is open here", is_open(kept) == own_files);
    getcwd(where, sizeof where);
    say("  the directory is the same here", (strcmp(where, "/") == 0) == own_place);
    close(kept);
}

// A thread with descriptors of its own runs a program: that has them, not the process's.
static void *run_with_own(void *path) {
    if (unshare(CLONE_FILES | CLONE_FS) != 0)
        return NULL;
    close(kept);
    chdir("/tmp");
    char *arguments[] = {path, "look", NULL};
    char *environment[] = {NULL};
    execve(path, arguments, environment);
    return NULL;
}

static void try_execute(void) {
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        chdir("/");
        kept = open("/dev/zero", O_RDONLY);
        if (kept != 3)
            dup2(kept, 3), kept = 3;
        pthread_create(&thread, NULL, run_with_own, "/proc/self/exe");
        pthread_join(thread, NULL);
        _exit(99);
    }
    waitpid(child, &status, 0);
    printf("a program that such a thread runs ends with %d\n", WEXITSTATUS(status));
}

// The end of a thread ends what it alone has: the other end of a pipe sees it.
static int ends[2];

static void *hold_writer(void *unused) {
    unshare(CLONE_FILES);
    return NULL;
}

static void try_end(void) {
    pthread_t thread;
    char byte;
    pipe(ends);
    pthread_create(&thread, NULL, hold_writer, NULL);
    pthread_join(thread, NULL);
    close(ends[1]);
    say("a thread's own descriptors go with it", read(ends[0], &byte, 1) == 0);
    close(ends[0]);
}

static int nothing(void *unused) { return 0; }

int main(int count, char **words) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count > 1) {
        getcwd(where, sizeof where);
        return (is_open(3) ? 1 : 0) | (strcmp(where, "/tmp") ? 2 : 0);
    }
    try_clone("all shared", CLONE_FILES | CLONE_FS, 1, 1);
    try_clone("own descriptors", CLONE_FS, 0, 1);
    try_clone("own directories", CLONE_FILES, 1, 0);
    try_clone("both its own", 0, 0, 0);
    try_unshare("unshare descriptors", CLONE_FILES, 1, 0);
    try_unshare("unshare directories", CLONE_FS, 0, 1);
    try_unshare("unshare both", CLONE_FS | CLONE_FILES, 1, 1);
    pthread_t thread;
    pthread_create(&thread, NULL, unshare_it, (void *)(long)CLONE_VM);
    pthread_join(thread, NULL);
    printf("unshare memory: %s\n", strerror(seen));
    try_execute();
    try_end();
    say("handlers without memory", start(nothing, CLONE_SIGHAND | SIGCHLD) < 0 && errno == EINVAL);
    say("a thread without handlers", start(nothing, CLONE_VM | CLONE_THREAD) < 0 && errno == EINVAL);
    return 0;
}
