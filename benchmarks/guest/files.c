// What files cost in guest instructions: under QEMU's -icount shift=0 the time-stamp counter counts instructions one by
// one. Each line is a name and the least cost of one operation in several rounds.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 5, REPEATS = 100, FILES = 2000, FOLDERS = 20, CHUNK = 65536, CHUNKS = 256 };

static char buffer[CHUNK];

static inline uint64_t counter(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static void tell(const char *name, uint64_t (*once)(void), unsigned operations) {
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t cost = once();
        if (cost < best) best = cost;
    }
    printf("%s %llu\n", name, (unsigned long long)(best / operations));
}

static uint64_t open_read_close(void) {
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) {
        int file = open("/bench/folder/small", O_RDONLY);
        if (read(file, buffer, 4096) != 4096) return 0;
        close(file);
    }
    return counter() - start;
}

static uint64_t stats(void) {
    struct stat info;
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) stat("/bench/folder/small", &info);
    return counter() - start;
}

static uint64_t missing(void) {
    struct stat info;
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) stat("/bench/folder/missing", &info);
    return counter() - start;
}

static uint64_t walk(void) {
    char name[64];
    struct stat info;
    uint64_t start = counter();
    for (int folder = 0; folder < FOLDERS; folder++) {
        sprintf(name, "/bench/tree/%d", folder);
        int file = open(name, O_RDONLY | O_DIRECTORY);
        long size;
        while ((size = syscall(SYS_getdents64, file, buffer, 8192)) > 0)
            for (long at = 0; at < size; at += *(unsigned short *)(buffer + at + 16))
                fstatat(file, buffer + at + 19, &info, AT_SYMLINK_NOFOLLOW);
        close(file);
    }
    return counter() - start;
}

static uint64_t make(void) {
    char name[64];
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) {
        sprintf(name, "/bench/new-%d", i);
        int file = open(name, O_CREAT | O_WRONLY, 0644);
        write(file, buffer, 100);
        close(file);
        unlink(name);
    }
    return counter() - start;
}

static uint64_t write_large(void) {
    unlink("/bench/large");
    int file = open("/bench/large", O_CREAT | O_WRONLY, 0644);
    uint64_t start = counter();
    for (int i = 0; i < CHUNKS; i++)
        if (write(file, buffer, CHUNK) != CHUNK) return 0;
    uint64_t cost = counter() - start;
    close(file);
    return cost;
}

static uint64_t read_large(void) {
    int file = open("/bench/large", O_RDONLY);
    uint64_t start = counter();
    while (read(file, buffer, CHUNK) > 0) {
    }
    uint64_t cost = counter() - start;
    close(file);
    return cost;
}

static uint64_t wake_up(void) {
    int event = eventfd(0, 0), poll = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN}, got;
    uint64_t one = 1;
    epoll_ctl(poll, EPOLL_CTL_ADD, event, &wanted);
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) {
        write(event, &one, 8);
        epoll_wait(poll, &got, 1, -1);
        read(event, &one, 8);
    }
    uint64_t cost = counter() - start;
    close(event);
    close(poll);
    return cost;
}

static uint64_t through_pipe(void) {
    int ends[2];
    pipe(ends);
    uint64_t start = counter();
    for (int i = 0; i < REPEATS; i++) {
        write(ends[1], buffer, 100);
        read(ends[0], buffer, 100);
    }
    uint64_t cost = counter() - start;
    close(ends[0]);
    close(ends[1]);
    return cost;
}

int main(void) {
    char name[64];
    memset(buffer, 'x', sizeof buffer);
    mkdir("/bench", 0755);
    mkdir("/bench/folder", 0755);
    mkdir("/bench/tree", 0755);
    int file = open("/bench/folder/small", O_CREAT | O_WRONLY, 0644);
    write(file, buffer, 4096);
    close(file);
    for (int i = 0; i < FILES; i++) {
        sprintf(name, "/bench/tree/%d", i % FOLDERS);
        mkdir(name, 0755);
        sprintf(name, "/bench/tree/%d/name-%d", i % FOLDERS, i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    tell("open-read-close", open_read_close, REPEATS);
    tell("stat", stats, REPEATS);
    tell("stat-missing", missing, REPEATS);
    tell("walk-file", walk, FILES);
    tell("make-write-remove", make, REPEATS);
    tell("write-page", write_large, CHUNKS * (CHUNK / 4096));
    tell("read-page", read_large, CHUNKS * (CHUNK / 4096));
    tell("pipe", through_pipe, REPEATS);
    tell("eventfd-epoll", wake_up, REPEATS);
    fflush(stdout);
    return 0;
}
