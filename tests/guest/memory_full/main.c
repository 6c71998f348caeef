// Processes that use up all memory, and what is left of them. It has no guest.toml: Linux would have to be starved for
// the comparison. See tests/boot/test_memory_full.py.
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

static long free_bytes(void) {
    struct sysinfo information;
    sysinfo(&information);
    return information.freeram;
}

static volatile char *take(long size) {
    volatile char *memory = malloc(size);
    for (long at = 0; memory != NULL && at < size; at += 4096) memory[at] = 1;
    return memory;
}

static void take_all(void) {
    while (take(8 << 20) != NULL) {}
}

static void started(int count) {
    for (int i = 0; i < count; i++) {
        pid_t child = i % 2 ? vfork() : fork();
        if (child == 0) _exit(0);
        waitpid(child, NULL, 0);
    }
}

int main(void) {
    int status, pipes[2];
    char byte;
    setvbuf(stdout, NULL, _IONBF, 0);
    long before = free_bytes();
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) take_all();
        waitpid(child, &status, 0);
        printf("a child that takes all: %x\n", status);
    }
    // The one that asks is not the one that has most.
    pipe(pipes);
    pid_t child = fork();
    if (child == 0) {
        take(80 << 20);
        write(pipes[1], "x", 1);
        pause();
    }
    read(pipes[0], &byte, 1);
    volatile char *memory = take(60 << 20);
    waitpid(child, &status, 0);
    printf("the larger one: %x\n", status);
    free((void *)memory);
    started(1000);
    long between = free_bytes();
    started(1000);
    // A processor frees the stack of a thread that ended there after its parent has heard of the end, and each keeps a
    // few free objects: some pages may lie elsewhere at this moment, but not one in twenty of the processes' own.
    printf("left behind: %s of %d processes, %s\n", between - free_bytes() < 50 * 4096 ? "nothing" : "memory", 1000,
           before - free_bytes() < 1 << 20 ? "nothing in all" : "more than 1 MiB in all");
    take_all();
    return 0;
}
