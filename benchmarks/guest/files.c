// What files, pipes and processes cost. Each line is a name, the instructions and the nanoseconds of one operation: the
// least of several rounds. Under QEMU's -icount shift=0 the time-stamp counter counts instructions one by one; without
// it the first number means nothing and the second is the time.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 3, REPEATS = 100, PROCESSES = 20, FILES = 20000, FOLDERS = 200, CROWD = 100000, CHUNK = 65536, CHUNKS = 1600 };

static char buffer[CHUNK];
static char *myself;

struct cost {
    uint64_t instructions, nanoseconds;
};
static struct cost last;

static struct cost now(void) {
    uint32_t low, high;
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (struct cost){(uint64_t)high << 32 | low, time.tv_sec * 1000000000ull + time.tv_nsec};
}

static void begin(void) { last = now(); }

static void end(void) {
    struct cost time = now();
    last.instructions = time.instructions - last.instructions;
    last.nanoseconds = time.nanoseconds - last.nanoseconds;
}

static void must(int good, const char *what) {
    if (good) return;
    perror(what);
    exit(1);
}

static void tell(const char *name, void (*once)(void), unsigned operations) {
    struct cost best = {UINT64_MAX, UINT64_MAX};
    for (int i = 0; i < ROUNDS; i++) {
        once();
        if (last.instructions < best.instructions) best.instructions = last.instructions;
        if (last.nanoseconds < best.nanoseconds) best.nanoseconds = last.nanoseconds;
    }
    printf("%s %llu %llu\n", name, (unsigned long long)(best.instructions / operations),
           (unsigned long long)(best.nanoseconds / operations));
    fflush(stdout);
}

static void open_read_close(void) {
    begin();
    for (int i = 0; i < REPEATS; i++) {
        int file = open("/bench/folder/small", O_RDONLY);
        must(read(file, buffer, 4096) == 4096, "read");
        close(file);
    }
    end();
}

static void stats(void) {
    struct stat info;
    begin();
    for (int i = 0; i < REPEATS; i++) must(stat("/bench/folder/small", &info) == 0, "stat");
    end();
}

static void missing(void) {
    struct stat info;
    begin();
    for (int i = 0; i < REPEATS; i++) must(stat("/bench/folder/missing", &info) != 0, "stat of nothing");
    end();
}

static void walk(void) {
    char name[64];
    struct stat info;
    begin();
    for (int folder = 0; folder < FOLDERS; folder++) {
        sprintf(name, "/bench/tree/%d", folder);
        int file = open(name, O_RDONLY | O_DIRECTORY);
        long size;
        while ((size = syscall(SYS_getdents64, file, buffer, 8192)) > 0)
            for (long at = 0; at < size; at += *(unsigned short *)(buffer + at + 16))
                must(fstatat(file, buffer + at + 19, &info, AT_SYMLINK_NOFOLLOW) == 0, "fstatat");
        close(file);
    }
    end();
}

static void make(void) {
    char name[64];
    begin();
    for (int i = 0; i < REPEATS; i++) {
        sprintf(name, "/bench/new-%d", i);
        int file = open(name, O_CREAT | O_WRONLY, 0644);
        must(write(file, buffer, 100) == 100, "write");
        close(file);
        unlink(name);
    }
    end();
}

static void write_large(void) {
    unlink("/bench/large");
    int file = open("/bench/large", O_CREAT | O_WRONLY, 0644);
    begin();
    for (int i = 0; i < CHUNKS; i++) must(write(file, buffer, CHUNK) == CHUNK, "write of much");
    end();
    close(file);
}

static void read_large(void) {
    int file = open("/bench/large", O_RDONLY);
    begin();
    for (int i = 0; i < CHUNKS; i++) must(read(file, buffer, CHUNK) == CHUNK, "read of much");
    end();
    close(file);
}

// A folder with as many names as CROWD says.
static void list_crowd(void) {
    int file = open("/bench/crowd", O_RDONLY | O_DIRECTORY), found = 0;
    long size;
    begin();
    while ((size = syscall(SYS_getdents64, file, buffer, 8192)) > 0)
        for (long at = 0; at < size; at += *(unsigned short *)(buffer + at + 16)) found++;
    end();
    must(found == CROWD + 2, "getdents64");
    close(file);
}

static void look_in_crowd(void) {
    char name[64];
    struct stat info;
    begin();
    for (int i = 0; i < REPEATS; i++) {
        sprintf(name, "/bench/crowd/name-%d", i * 997 % CROWD);
        must(stat(name, &info) == 0, "stat");
    }
    end();
}

static void rename_in_crowd(void) {
    char name[64], other[64];
    begin();
    for (int i = 0; i < REPEATS; i++) {
        sprintf(name, "/bench/crowd/name-%d", i * 991 % CROWD);
        sprintf(other, "/bench/crowd/other-%d", i * 991 % CROWD);
        must(rename(name, other) == 0, "rename");
        must(rename(other, name) == 0, "rename back");
    }
    end();
}

static void make_in_crowd(void) {
    char name[64];
    begin();
    for (int i = 0; i < REPEATS; i++) {
        sprintf(name, "/bench/crowd/new-%d", i);
        int file = open(name, O_CREAT | O_WRONLY, 0644);
        close(file);
        unlink(name);
    }
    end();
}

static void wake_up(void) {
    int event = eventfd(0, 0), poll = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN}, got;
    uint64_t one = 1;
    epoll_ctl(poll, EPOLL_CTL_ADD, event, &wanted);
    begin();
    for (int i = 0; i < REPEATS; i++) {
        write(event, &one, 8);
        must(epoll_wait(poll, &got, 1, -1) == 1, "epoll_wait");
        read(event, &one, 8);
    }
    end();
    close(event);
    close(poll);
}

static void through_pipe(void) {
    int ends[2];
    must(pipe(ends) == 0, "pipe");
    begin();
    for (int i = 0; i < REPEATS; i++) {
        write(ends[1], buffer, 100);
        must(read(ends[0], buffer, 100) == 100, "read of a pipe");
    }
    end();
    close(ends[0]);
    close(ends[1]);
}

// Two threads and two pipes: a byte goes to the partner, who sends it back.
static int there[2], back[2];

static void *partner(void *unused) {
    char byte;
    while (read(there[0], &byte, 1) == 1) write(back[1], &byte, 1);
    return NULL;
}

static void round_trips(void) {
    pthread_t thread;
    char byte = 0;
    must(pipe(there) == 0 && pipe(back) == 0, "pipe");
    must(pthread_create(&thread, NULL, partner, NULL) == 0, "pthread_create");
    for (int i = 0; i < 2; i++) must(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "first round");
    begin();
    for (int i = 0; i < REPEATS; i++) {
        write(there[1], &byte, 1);
        must(read(back[0], &byte, 1) == 1, "read of the answer");
    }
    end();
    close(there[1]);
    pthread_join(thread, NULL);
    close(there[0]);
    close(back[0]);
    close(back[1]);
}

// This program once more, which ends at once, started as os/exec and posix_spawn do: vfork, exec, wait.
static void spawns(void) {
    char *arguments[] = {myself, "end", NULL}, *environment[] = {NULL};
    begin();
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child;
        int status;
        must(posix_spawn(&child, myself, NULL, NULL, arguments, environment) == 0, "posix_spawn");
        must(waitpid(child, &status, 0) == child && status == 0, "waitpid");
    }
    end();
}

static void forks(void) {
    begin();
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child = fork();
        int status;
        if (child == 0) _exit(0);
        must(waitpid(child, &status, 0) == child && status == 0, "waitpid");
    }
    end();
}

int main(int count, char **arguments) {
    char name[64];
    if (count > 1 && strcmp(arguments[1], "end") == 0) return 0;
    myself = arguments[0];
    memset(buffer, 'x', sizeof buffer);
    mkdir("/bench", 0755);
    mkdir("/bench/folder", 0755);
    mkdir("/bench/tree", 0755);
    int file = open("/bench/folder/small", O_CREAT | O_WRONLY, 0644);
    must(write(file, buffer, 4096) == 4096, "write");
    close(file);
    for (int i = 0; i < FILES; i++) {
        sprintf(name, "/bench/tree/%d", i % FOLDERS);
        if (i < FOLDERS) mkdir(name, 0755);
        sprintf(name, "/bench/tree/%d/name-%d", i % FOLDERS, i);
        file = open(name, O_CREAT | O_WRONLY, 0644);
        must(file >= 0, "open");
        close(file);
    }
    mkdir("/bench/crowd", 0755);
    for (int i = 0; i < CROWD; i++) {
        sprintf(name, "/bench/crowd/name-%d", i);
        file = open(name, O_CREAT | O_WRONLY, 0644);
        must(file >= 0, "open");
        close(file);
    }
    tell("open-read-close", open_read_close, REPEATS);
    tell("stat", stats, REPEATS);
    tell("stat-missing", missing, REPEATS);
    tell("walk-file", walk, FILES);
    tell("make-write-remove", make, REPEATS);
    tell("crowd-name", list_crowd, CROWD);
    tell("crowd-stat", look_in_crowd, REPEATS);
    tell("crowd-rename", rename_in_crowd, REPEATS * 2);
    tell("crowd-make", make_in_crowd, REPEATS);
    tell("write-page", write_large, CHUNKS * (CHUNK / 4096));
    tell("read-page", read_large, CHUNKS * (CHUNK / 4096));
    tell("pipe", through_pipe, REPEATS);
    tell("pipe-round-trip", round_trips, REPEATS);
    tell("eventfd-epoll", wake_up, REPEATS);
    tell("spawn", spawns, PROCESSES);
    tell("fork", forks, PROCESSES);
    return 0;
}
