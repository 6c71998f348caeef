// What a C library asks of the kernel before main and in everyday use: the auxiliary vector, thread-local storage, brk
// and mmap by malloc, mprotect of relocated data, threads with their own stacks, exit handlers.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static __thread int counter = 7;
static __thread char area[5000];
static const char *const words[] = {"relocated", "read-only", "data"};

static void *thread(void *argument) {
    long index = (long)argument;
    int first = counter;
    for (int i = 0; i < 1000; i++) counter += index;
    memset(area, index, sizeof area);
    char stack[20000];
    memset(stack, index, sizeof stack);
    return (void *)(long)(first == 7 && area[4999] == index && stack[19999] == index ? counter : -1);
}

static void at_exit(void) { puts("exit handler"); }

int main(int argc, char **argv) {
    atexit(at_exit);
    printf("arguments %d %s\n", argc - 1, argc > 1 ? argv[1] : "none");
    printf("variable %s\n", getenv("COLOUR") ? getenv("COLOUR") : "unset");
    printf("%s %s %s\n", words[0], words[1], words[2]);
    printf("page %ld clock tick %ld random %d vdso %d secure %lu\n", sysconf(_SC_PAGESIZE), sysconf(_SC_CLK_TCK),
           getauxval(AT_RANDOM) != 0, getauxval(AT_SYSINFO_EHDR) != 0, getauxval(AT_SECURE));
    printf("program headers %d entry %d name %d platform %s\n", getauxval(AT_PHDR) != 0, getauxval(AT_ENTRY) != 0,
           getauxval(AT_EXECFN) != 0, (char *)getauxval(AT_PLATFORM));

    char *blocks[200];
    for (int i = 0; i < 200; i++) {
        size_t size = (size_t)1 << (i % 20);
        blocks[i] = malloc(size);
        memset(blocks[i], i, size);
    }
    int wrong = 0;
    for (int i = 0; i < 200; i++) {
        size_t size = (size_t)1 << (i % 20);
        wrong += blocks[i][0] != (char)i || blocks[i][size - 1] != (char)i;
        blocks[i] = realloc(blocks[i], 2 * size);
        wrong += blocks[i][size - 1] != (char)i;
    }
    for (int i = 0; i < 200; i++) free(blocks[i]);
    printf("heap wrong %d\n", wrong);

    pthread_t threads[20];
    long sum = 0;
    for (long i = 0; i < 20; i++)
        if (pthread_create(&threads[i], NULL, thread, (void *)i)) printf("pthread_create %s\n", strerror(errno));
    for (int i = 0; i < 20; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("threads %ld, own counter %d\n", sum, counter);

    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    usleep(3000);
    clock_gettime(CLOCK_MONOTONIC, &b);
    long slept = (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
    printf("slept %d\n", slept >= 3000000 && slept < 60000000);
    struct rlimit stack;
    printf("stack limit %d\n", getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur >= 1 << 20);
    FILE *zero = fopen("/dev/zero", "r");
    printf("stdio %d\n", zero != NULL && fgetc(zero) == 0);
    double x = 2;
    for (int i = 0; i < 5; i++) x = x * 1.5 - 0.25;
    long double y = (long double)x / 3;
    printf("floats %.15g %.18Lg\n", x, y);
    fflush(stdout);
    return 42;
}
