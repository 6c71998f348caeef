// Large_folder fills a folder with as many files as its argument says, looks at them all, and empties it; then does what
// it can with /large, which the image has. For each kind of call it prints how long one took, by the time stamp counter.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

static unsigned long start;
static long count;

static void check(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void tell(const char *folder, const char *what) {
    printf("%s %s %lu\n", folder, what, (unsigned long)(__rdtsc() - start) / count);
    fflush(stdout);
    start = __rdtsc();
}

static char *name(char *buffer, const char *folder, const char *kind, long number) {
    sprintf(buffer, "%s/%s%ld", folder, kind, number);
    return buffer;
}

static void list(const char *folder, long expected) {
    DIR *listing = opendir(folder);
    check(listing != NULL, folder);
    long found = 0;
    while (readdir(listing)) found++;
    closedir(listing);
    check(found == expected + 2, "another number of names");
    tell(folder, "list");
}

static void use(const char *folder) {
    char path[100], other[100];
    struct stat status;
    list(folder, count);
    for (long i = 0; i < count; i++) check(stat(name(path, folder, "f", i), &status) == 0, path);
    tell(folder, "stat");
    for (long i = 0; i < count; i++) check(stat(name(path, folder, "absent", i), &status) != 0, path);
    tell(folder, "absent");
    for (long i = 0; i < count; i++)
        check(rename(name(path, folder, "f", i), name(other, folder, "renamed", i)) == 0, path);
    tell(folder, "rename");
    for (long i = 0; i < count; i++) check(unlink(name(path, folder, "renamed", i)) == 0, path);
    tell(folder, "unlink");
    list(folder, 0);
    check(rmdir(folder) == 0, folder);
    tell(folder, "rmdir");
}

int main(int argc, char **argv) {
    count = atol(argv[1]);
    char path[100];
    check(mkdir("/tmp/made", 0755) == 0, "mkdir");
    start = __rdtsc();
    for (long i = 0; i < count; i++) {
        int file = open(name(path, "/tmp/made", "f", i), O_CREAT | O_WRONLY, 0644);
        check(file >= 0, path);
        close(file);
    }
    tell("/tmp/made", "create");
    use("/tmp/made");
    use("/large");
    return 0;
}
