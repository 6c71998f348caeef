// Corners of the file calls, on a file system in memory: odd arguments, limits, and what changes besides what was asked
// for. A line each: what was done, the result, errno.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
#ifndef RENAME_WHITEOUT
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#define RENAME_WHITEOUT 4
#endif
#define SEAL_ALL 0x3f

static char block[8192];
static void *volatile bad = (void *)8;  // where nothing is

static void say(const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (write(1, text, length) != length) _exit(99);
}

// Evaluates to the result, so that descriptors can be kept.
#define R(what, call) ({ errno = 0; long value_ = (long)(call); int error_ = errno; \
    say("%s: %ld %s\n", what, value_ < 0 ? -1L : value_, value_ < 0 ? strerrorname(error_) : ""); value_; })
// The same where a success gives a number that may differ.
#define OK(what, call) ({ errno = 0; long value_ = (long)(call); int error_ = errno; \
    say("%s: %s %s\n", what, value_ < 0 ? "no" : "yes", value_ < 0 ? strerrorname(error_) : ""); value_; })

static const char *strerrorname(int number) {
    static char text[16];
    snprintf(text, sizeof text, "errno %d", number);
    return text;
}

static int fresh(const char *name, long size) {
    unlink(name);
    int file = open(name, O_CREAT | O_RDWR, 0644);
    for (long done = 0; done < size; done += sizeof block) write(file, block, size - done < (long)sizeof block ? size - done : (long)sizeof block);
    return file;
}

static void shape(const char *what, int file) {
    struct stat info;
    unsigned sum = 0;
    char data[4096];
    fstat(file, &info);
    for (long at = 0, got; (got = pread(file, data, sizeof data, at)) > 0; at += got)
        for (long i = 0; i < got; i++) sum = sum * 31 + (unsigned char)data[i];
    say("%s: size %ld blocks %ld sum %u\n", what, (long)info.st_size, (long)info.st_blocks, sum);
}

static void allocation(void) {
    static const struct { const char *name; int mode; long offset, length; } tries[] = {
        {"allocate", 0, 0, 10000}, {"allocate beyond", 0, 40000, 5000}, {"keep size", FALLOC_FL_KEEP_SIZE, 0, 100000},
        {"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192},
        {"punch odd", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 5000},
        {"punch to beyond", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 16000, 1 << 20},
        {"punch alone", FALLOC_FL_PUNCH_HOLE, 0, 4096}, {"collapse", FALLOC_FL_COLLAPSE_RANGE, 0, 4096},
        {"insert", FALLOC_FL_INSERT_RANGE, 0, 4096}, {"unshare", FALLOC_FL_UNSHARE_RANGE, 0, 4096},
        {"unknown mode", 0x4000, 0, 4096}, {"negative offset", 0, -1, 10}, {"no length", 0, 0, 0},
        {"negative length", 0, 0, -5}, {"overflow", 0, INT64_MAX, 10}, {"huge", 0, 0, INT64_MAX},
    };
    for (unsigned i = 0; i < sizeof tries / sizeof *tries; i++) {
        int file = fresh("allocated", 20000);
        R(tries[i].name, fallocate(file, tries[i].mode, tries[i].offset, tries[i].length));
        shape("  it is", file);
        close(file);
    }
    int file = open("allocated", O_RDONLY), ends[2];
    R("allocate read-only", fallocate(file, 0, 0, 10));
    close(file);
    pipe(ends);
    R("allocate a pipe", fallocate(ends[1], 0, 0, 10));
    file = open(".", O_RDONLY);
    R("allocate a directory", fallocate(file, 0, 0, 10));
    R("truncate a directory", ftruncate(file, 0));
    close(file);
    R("truncate a pipe", ftruncate(ends[1], 0));
    R("truncate to less than nothing", truncate("allocated", -1));
    R("truncate a folder by name", truncate(".", 0));
}

static void seals(void) {
    int plain = memfd_create("plain", MFD_CLOEXEC), file = memfd_create("sealed", MFD_ALLOW_SEALING);
    ftruncate(plain, 8192);
    ftruncate(file, 8192);
    R("seals of a plain one", fcntl(plain, F_GET_SEALS));
    R("seal a plain one", fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE));
    R("seals", fcntl(file, F_GET_SEALS));
    R("unknown seal", fcntl(file, F_ADD_SEALS, 0x1000));
    char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    R("write seal while mapped", fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
    munmap(shared, 8192);
    char *readable = mmap(NULL, 8192, PROT_READ, MAP_SHARED, file, 0);
    OK("write seal while mapped to read", fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
    R("make it writable", mprotect(readable, 8192, PROT_READ | PROT_WRITE));
    munmap(readable, 8192);
    R("write", write(file, "x", 1));
    R("punch", fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    OK("map shared to write", mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED ? -1 : 0);
    OK("map private to write", mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0) == MAP_FAILED ? -1 : 0);
    R("shrink", ftruncate(file, 4096));
    R("grow", ftruncate(file, 12288));
    R("seal size", fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    R("shrink", ftruncate(file, 4096));
    R("grow", ftruncate(file, 20000));
    R("same size", ftruncate(file, 12288));
    R("allocate beyond", fallocate(file, 0, 12288, 4096));
    R("seal sealing", fcntl(file, F_ADD_SEALS, F_SEAL_SEAL));
    R("seal more", fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
    R("seals", fcntl(file, F_GET_SEALS));
    int grown = memfd_create("grown", MFD_ALLOW_SEALING);
    fcntl(grown, F_ADD_SEALS, F_SEAL_GROW);
    R("write into a full one", write(grown, "hello", 5));
    ftruncate(grown, 0);
    int future = memfd_create("future", MFD_ALLOW_SEALING);
    ftruncate(future, 4096);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, future, 0);
    R("future write seal while mapped", fcntl(future, F_ADD_SEALS, 0x10));
    shared[0] = 'y';
    R("write", write(future, "x", 1));
    OK("map shared again", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, future, 0) == MAP_FAILED ? -1 : 0);
    R("seals of a file", fcntl(fresh("file", 0), F_GET_SEALS) < 0 && errno == EINVAL);
    R("memfd unknown flag", memfd_create("x", 0x8000));
    memset(block, 'n', 300);
    block[249] = 0;
    OK("memfd name of 249", memfd_create(block, 0));
    block[249] = 'n';
    block[250] = 0;
    OK("memfd name of 250", memfd_create(block, 0));
}

static void names(void) {
    char name[PATH_MAX + 100];
    memset(name, 'a', sizeof name);
    name[NAME_MAX] = 0;
    OK("name of 255", open(name, O_CREAT | O_WRONLY, 0644));
    R("remove it", unlink(name));
    name[NAME_MAX] = 'a';
    name[NAME_MAX + 1] = 0;
    R("name of 256", open(name, O_CREAT | O_WRONLY, 0644));
    R("mkdir of 256", mkdir(name, 0755));
    R("stat of 256", access(name, F_OK));
    for (int i = 0; i < PATH_MAX + 50; i++) name[i] = i % 2 ? '/' : '.';
    name[PATH_MAX - 1] = 0;
    R("path of 4095", access(name, F_OK));
    name[PATH_MAX - 1] = '/';
    name[PATH_MAX] = 0;
    R("path of 4096", access(name, F_OK));
    R("empty path", open("", O_RDONLY));
    R("slash after a file", open("file/", O_RDONLY));
    R("new with a slash", open("new/", O_CREAT | O_WRONLY, 0644));
    R("below a file", open("file/x", O_RDONLY));
    symlink("loop2", "loop1");
    symlink("loop1", "loop2");
    R("loop", open("loop1", O_RDONLY));
    R("loop not followed", open("loop1", O_RDONLY | O_NOFOLLOW));
    symlink("file", "link0");
    for (int i = 1; i <= 41; i++) {
        char from[16], to[16];
        sprintf(from, "link%d", i);
        sprintf(to, "link%d", i - 1);
        symlink(to, from);
    }
    R("40 links", access("link39", F_OK));
    R("41 links", access("link40", F_OK));
    R("link to nothing", symlink("", "nothing"));
    OK("exclusive at a dangling link", (symlink("dangling-target", "dangling"), open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0644)));
    OK("make through a dangling link", open("dangling", O_CREAT | O_WRONLY, 0644));
    R("it is there", access("dangling-target", F_OK));
    R("rmdir .", rmdir("."));
    R("rmdir ..", rmdir(".."));
    mkdir("d", 0755);
    R("rmdir d/.", rmdir("d/."));
    R("unlink a folder", unlink("d"));
    R("rmdir a file", rmdir("file"));
    R("unlinkat with a bad flag", unlinkat(AT_FDCWD, "d", 1));
    R("rename . ", rename(".", "e"));
    R("rename into itself", rename("d", "d/e"));
    R("rename a folder over a file", rename("d", "file"));
    R("rename a file over a folder", rename("file", "d"));
    R("rename with slash", rename("file", "file2/"));
    R("link a folder", link("d", "e"));
    R("mkdir with slashes", mkdir("slashes///", 0755));
    R("mknod with a bad type", mknod("bad", 0170000, 0));
    R("O_TMPFILE to read", open(".", O_TMPFILE | O_RDONLY, 0644));
    R("O_DIRECTORY and O_CREAT", open("makes", O_DIRECTORY | O_CREAT, 0755));
    R("O_DIRECTORY of a file", open("file", O_DIRECTORY));
    R("write to a folder", open("d", O_WRONLY));
    OK("O_PATH and O_CREAT", open("never", O_PATH | O_CREAT, 0644));
}

static void renames(void) {
    mkdir("r", 0755);
    close(fresh("r/a", 10));
    close(fresh("r/b", 20));
    mkdir("r/d", 0755);
    close(fresh("r/d/in", 1));
    R("no replace", syscall(SYS_renameat2, AT_FDCWD, "r/a", AT_FDCWD, "r/b", RENAME_NOREPLACE));
    R("exchange", syscall(SYS_renameat2, AT_FDCWD, "r/a", AT_FDCWD, "r/b", RENAME_EXCHANGE));
    struct stat info;
    stat("r/a", &info);
    say("a has %ld\n", (long)info.st_size);
    R("exchange file and folder", syscall(SYS_renameat2, AT_FDCWD, "r/a", AT_FDCWD, "r/d", RENAME_EXCHANGE));
    stat("r/d", &info);
    say("d is %o\n", info.st_mode & S_IFMT);
    R("exchange with what is in it", syscall(SYS_renameat2, AT_FDCWD, "r/a", AT_FDCWD, "r/a/in", RENAME_EXCHANGE));
    R("exchange with nothing", syscall(SYS_renameat2, AT_FDCWD, "r/a", AT_FDCWD, "r/none", RENAME_EXCHANGE));
    R("both", syscall(SYS_renameat2, AT_FDCWD, "r/a", AT_FDCWD, "r/b", RENAME_EXCHANGE | RENAME_NOREPLACE));
    R("unknown", syscall(SYS_renameat2, AT_FDCWD, "r/a", AT_FDCWD, "r/b", 8));
    R("whiteout", syscall(SYS_renameat2, AT_FDCWD, "r/b", AT_FDCWD, "r/c", RENAME_WHITEOUT));
    if (stat("r/b", &info) == 0) say("left %o %lx\n", info.st_mode & S_IFMT, (long)info.st_rdev);
    R("to the same file", (link("r/c", "r/c2"), rename("r/c", "r/c2")));
    R("both still there", access("r/c", F_OK) == 0 && access("r/c2", F_OK) == 0);
    mkdir("r/full", 0755);
    close(fresh("r/full/x", 1));
    mkdir("r/empty", 0755);
    R("over a full folder", rename("r/empty", "r/full"));
    R("over an empty one", rename("r/full", "r/empty"));
}

static void show(const char *what, const char *name) {
    struct stat info;
    if (stat(name, &info) < 0) say("%s: none\n", what);
    else say("%s: %o %d %d\n", what, info.st_mode & 07777, info.st_uid, info.st_gid);
}

static void bits(void) {
    mkdir("sticky", 0777);
    chmod("sticky", 01777);
    mkdir("group", 0755);
    chown("group", 0, 77);
    chmod("group", 02775);
    mkdir("group/sub", 0755);
    show("folder in a group's folder", "group/sub");
    close(open("group/file", O_CREAT | O_WRONLY, 0755));
    show("file there", "group/file");
    int file = fresh("suid", 10);
    close(file);
    chmod("suid", 06755);
    show("set", "suid");
    chown("suid", 5, 5);
    show("after chown", "suid");
    chmod("suid", 06755);
    chown("suid", -1, -1);
    show("after chown to nobody", "suid");
    chmod("suid", 06745);
    chown("suid", 5, 5);
    show("group bit alone", "suid");
    chmod("suid", 06777);
    chmod("sticky", 01777);
    close(fresh("sticky/root", 1));
    if (fork() == 0) {
        syscall(SYS_setresgid, 1000, 1000, 1000);
        syscall(SYS_setresuid, 1000, 1000, 1000);
        R("remove another's from sticky", unlink("sticky/root"));
        R("rename another's in sticky", rename("sticky/root", "sticky/mine"));
        close(open("sticky/own", O_CREAT | O_WRONLY, 0644));
        R("remove one's own", unlink("sticky/own"));
        file = open("suid", O_WRONLY);
        R("write to a set-user-id file", write(file, "x", 1));
        show("after a write", "suid");
        R("chmod another's", chmod("suid", 0644));
        R("chown another's", chown("suid", 1000, 1000));
        R("utimes now of another's", utimensat(AT_FDCWD, "suid", NULL, 0));
        struct timespec times[2] = {{1, 0}, {2, 0}};
        R("utimes of another's", utimensat(AT_FDCWD, "suid", times, 0));
        close(open("sticky/mine", O_CREAT | O_WRONLY, 0644));
        R("give one's own away", chown("sticky/mine", 0, -1));
        R("to another group", chown("sticky/mine", -1, 0));
        R("to one's own group", chown("sticky/mine", -1, 1000));
        chmod("sticky/mine", 06711);
        show("set by oneself", "sticky/mine");
        R("truncate", truncate("sticky/mine", 0));
        show("after truncate", "sticky/mine");
        R("link to a file that isn't mine", link("suid", "sticky/stolen"));
        R("mknod of a device", mknod("sticky/device", S_IFCHR | 0644, 0x103));
        R("chroot", chroot("/"));
        R("nice", setpriority(PRIO_PROCESS, 0, -5));
        _exit(0);
    }
    wait(NULL);
}

static void times(void) {
    struct timespec t[2] = {{100, 5}, {200, 6}};
    struct stat info;
    close(fresh("timed", 10));
    R("both", utimensat(AT_FDCWD, "timed", t, 0));
    t[0].tv_nsec = UTIME_OMIT;
    t[1].tv_sec = 300;
    R("one omitted", utimensat(AT_FDCWD, "timed", t, 0));
    stat("timed", &info);
    say("%ld.%ld %ld.%ld\n", (long)info.st_atim.tv_sec, info.st_atim.tv_nsec, (long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    t[1].tv_nsec = UTIME_OMIT;
    R("both omitted", utimensat(AT_FDCWD, "timed", t, 0));
    R("both omitted of nothing", utimensat(AT_FDCWD, "isn't there", t, 0));
    t[0].tv_nsec = 1000000000;
    R("too many nanoseconds", utimensat(AT_FDCWD, "timed", t, 0));
    t[0].tv_nsec = -1;
    R("negative nanoseconds", utimensat(AT_FDCWD, "timed", t, 0));
    t[0] = (struct timespec){-100, 7};
    t[1] = (struct timespec){1L << 33, 8};
    R("long ago", utimensat(AT_FDCWD, "timed", t, 0));
    stat("timed", &info);
    say("%ld.%ld %ld.%ld\n", (long)info.st_atim.tv_sec, info.st_atim.tv_nsec, (long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    R("bad flag", utimensat(AT_FDCWD, "timed", NULL, 0x4000));
    symlink("timed", "timed-link");
    t[0] = t[1] = (struct timespec){5, 5};
    R("of a link", utimensat(AT_FDCWD, "timed-link", t, AT_SYMLINK_NOFOLLOW));
    lstat("timed-link", &info);
    say("link %ld\n", (long)info.st_mtim.tv_sec);
    struct statx x;
    R("statx bad mask", syscall(SYS_statx, AT_FDCWD, "timed", 0, 0x80000000u, &x));
    R("statx bad sync", syscall(SYS_statx, AT_FDCWD, "timed", 0x6000, 0x7ff, &x));
    memset(&x, 0x55, sizeof x);
    R("statx", syscall(SYS_statx, AT_FDCWD, "timed", 0, 0x7ff, &x));
    say("mask %x mode %o attributes %lx\n", x.stx_mask & 0x7ff, x.stx_mode, (long)(x.stx_attributes & 0x74));
    R("statx empty path", syscall(SYS_statx, AT_FDCWD, "", 0x1000, 0x7ff, &x));
    R("statx empty path without flag", syscall(SYS_statx, AT_FDCWD, "", 0, 0x7ff, &x));
    R("statx no path", syscall(SYS_statx, AT_FDCWD, NULL, 0x1000, 0x7ff, &x));
}

static void limits(void) {
    struct rlimit limit = {6000, 6000};
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int file = fresh("limited", 0);
        setrlimit(RLIMIT_FSIZE, &limit);
        signal(SIGXFSZ, SIG_IGN);
        R("write up to the limit", write(file, block, 8192));
        R("write at the limit", write(file, block, 10));
        R("pwrite beyond", pwrite(file, block, 10, 100000));
        R("truncate beyond", ftruncate(file, 7000));
        R("allocate beyond", fallocate(file, 0, 0, 7000));
        R("truncate below", ftruncate(file, 100));
        int large = open("large-source", O_CREAT | O_RDWR, 0644);
        R("copy_file_range", copy_file_range(file, NULL, large, &(loff_t){10000}, 10, 0));
        signal(SIGXFSZ, SIG_DFL);
        lseek(file, 6000, SEEK_SET);
        write(file, block, 1);
        _exit(1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    say("ended by %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status));
    child = fork();
    if (child == 0) {
        limit = (struct rlimit){10, 10};
        setrlimit(RLIMIT_NOFILE, &limit);
        int last = -1, next;
        while ((next = open("file", O_RDONLY)) >= 0) last = next;
        say("last descriptor %d errno %d\n", last, errno);
        R("dup2 beyond", dup2(0, 10));
        R("dup3 to itself", dup3(0, 0, 0));
        R("F_DUPFD beyond", fcntl(0, F_DUPFD, 10));
        R("F_DUPFD full", fcntl(0, F_DUPFD, 3));
        int ends[2];
        R("pipe", pipe(ends));
        R("select beyond", syscall(SYS_poll, NULL, 100, 0));
        _exit(0);
    }
    waitpid(child, &status, 0);
    say("ended with %d\n", status);
}

static void directories(void) {
    enum { MANY = 300 };
    mkdir("many", 0755);
    char name[64];
    for (int i = 0; i < MANY; i++) {
        sprintf(name, "many/%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    // Names are removed while they are listed: each that stays is seen once.
    DIR *folder = opendir("many");
    struct dirent *entry;
    int seen[MANY] = {0}, others = 0, removed = 0;
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.') { others++; continue; }
        int number = atoi(entry->d_name);
        seen[number]++;
        int victim = (number + 7) % MANY;
        if (number % 3 == 0 && victim % 3 == 1) {
            sprintf(name, "many/%d", victim);
            removed += unlink(name) == 0;
        }
    }
    int twice = 0, lost = 0;
    for (int i = 0; i < MANY; i++) {
        twice += seen[i] > 1;
        sprintf(name, "many/%d", i);
        lost += seen[i] == 0 && access(name, F_OK) == 0;
    }
    say("listing while removing: %d dots, %d removed, %d twice, %d lost\n", others, removed, twice, lost);
    rewinddir(folder);
    int count = 0;
    long position = 0;
    char at[64] = "";
    while ((entry = readdir(folder))) {
        if (++count == 50) {
            position = telldir(folder);
            entry = readdir(folder);
            strcpy(at, entry->d_name);
            count++;
        }
    }
    seekdir(folder, position);
    entry = readdir(folder);
    say("count %d, seekdir finds the same: %d\n", count, entry && strcmp(entry->d_name, at) == 0);
    closedir(folder);
    int file = open("many", O_RDONLY | O_DIRECTORY);
    char buffer[256];
    R("getdents into nothing", syscall(SYS_getdents64, file, buffer, 0));
    R("getdents into little", syscall(SYS_getdents64, file, buffer, 10));
    R("getdents into a bad place", syscall(SYS_getdents64, file, bad, 1000));
    R("lseek end", lseek(file, 0, SEEK_END) >= 0);
    R("lseek back", lseek(file, -1, SEEK_SET));
    R("read a folder", read(file, buffer, 10));
    R("getdents of a file", syscall(SYS_getdents64, open("file", O_RDONLY), buffer, 100));
    mkdir("gone", 0755);
    int gone = open("gone", O_RDONLY | O_DIRECTORY);
    rmdir("gone");
    R("getdents of what is gone", syscall(SYS_getdents64, gone, buffer, 100));
    R("open in what is gone", openat(gone, "x", O_CREAT | O_WRONLY, 0644));
    R("stat of . in what is gone", faccessat(gone, ".", F_OK, 0));
    R("mkdir in what is gone", mkdirat(gone, "x", 0755));
    struct stat info;
    fstat(gone, &info);
    say("links of what is gone %ld\n", (long)info.st_nlink);
}

static void controls(void) {
    int file = fresh("controlled", 100), ends[2], other = open("controlled", O_RDONLY);
    R("O_DIRECT", fcntl(file, F_SETFL, O_DIRECT));
    R("flags", fcntl(file, F_GETFL) & ~0100000);
    R("open O_DIRECT", open("controlled", O_RDONLY | O_DIRECT) < 0);
    R("F_SETFL of all", fcntl(file, F_SETFL, -1 & ~(O_DIRECT | O_ASYNC | O_NOATIME)));
    R("flags", fcntl(file, F_GETFL) & ~0100000);
    fcntl(file, F_SETFL, 0);
    R("F_GETLEASE", fcntl(other, F_GETLEASE));
    close(file);
    R("unknown fcntl", fcntl(other, 9999, 0));
    pipe(ends);
    R("pipe size", fcntl(ends[0], F_GETPIPE_SZ));
    R("to 1", fcntl(ends[0], F_SETPIPE_SZ, 1));
    R("to 5000", fcntl(ends[0], F_SETPIPE_SZ, 5000));
    R("to 0", fcntl(ends[0], F_SETPIPE_SZ, 0));
    R("to 1 MiB", fcntl(ends[0], F_SETPIPE_SZ, 1 << 20));
    R("to 2**31", fcntl(ends[0], F_SETPIPE_SZ, 1u << 31));
    R("to -1", fcntl(ends[0], F_SETPIPE_SZ, -1));
    write(ends[1], block, 8192);
    R("to less than is in it", fcntl(ends[0], F_SETPIPE_SZ, 4096));
    R("of a file", fcntl(other, F_GETPIPE_SZ));
    R("FIONREAD", ({ int n = -1; ioctl(ends[0], FIONREAD, &n); n; }));
    R("FIONREAD of a file", ({ int n = -1; ioctl(other, FIONREAD, &n); n; }));
    R("FIONBIO", ({ int on = 1; ioctl(ends[0], FIONBIO, &on); }));
    R("pipe flags", fcntl(ends[0], F_GETFL));
    R("FIOCLEX", ioctl(other, FIOCLEX));
    R("close on exec", fcntl(other, F_GETFD));
    R("FS_IOC_GETFLAGS of a pipe", ({ int n; ioctl(ends[0], FS_IOC_GETFLAGS, &n); }));
    R("TCGETS of a file", ioctl(other, 0x5401, block));
    R("unknown ioctl", ioctl(other, 0x12345678, 0));
    R("FIGETBSZ", ({ int n = 0; ioctl(other, FIGETBSZ, &n) < 0 ? -1 : n; }));
    R("pipe2 with a bad flag", pipe2(ends, O_APPEND));
    R("lseek a pipe", lseek(ends[0], 0, SEEK_CUR));
    R("pread a pipe", pread(ends[0], block, 1, 0));
    R("fsync a pipe", fsync(ends[0]));
    R("fchdir a file", fchdir(other));
    R("flock bad", syscall(SYS_flock, other, 77));
    int path = open("controlled", O_PATH);
    R("read of O_PATH", read(path, block, 1));
    R("fchmod of O_PATH", fchmod(path, 0600));
    R("fstat of O_PATH", fstat(path, &(struct stat){0}));
    R("F_GETFL of O_PATH", fcntl(path, F_GETFL));
    R("ioctl of O_PATH", ioctl(path, FIOCLEX));
    R("dup of O_PATH", dup(path) < 0);
    R("mmap of O_PATH", mmap(NULL, 4096, PROT_READ, MAP_SHARED, path, 0) == MAP_FAILED ? -1 : 0);
    R("fgetxattr of O_PATH", syscall(SYS_fgetxattr, path, "user.x", block, 10));
    R("fsync of O_PATH", fsync(path));
    R("lseek of O_PATH", lseek(path, 0, SEEK_SET));
    R("flock of O_PATH", syscall(SYS_flock, path, 1));
    struct iovec vectors[3] = {{block, 10}, {bad, 10}, {block, 10}};
    file = fresh("vectors", 0);
    R("writev with a bad range", writev(file, vectors, 3));
    R("writev of too many", syscall(SYS_writev, file, vectors, 1025));
    vectors[1].iov_len = -1;
    R("writev of a negative length", writev(file, vectors, 3));
    R("writev of none", writev(file, vectors, 0));
    R("read of nothing from a bad place", read(file, bad, 0));
    R("write of nothing from a bad place", write(file, bad, 0));
    R("write from a bad place", write(file, bad, 10));
    R("readahead", readahead(file, 0, 4096));
    R("fadvise", posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED));
    R("fadvise bad", posix_fadvise(file, 0, 0, 77));
    R("fadvise a pipe", posix_fadvise(ends[0], 0, 0, 0));
    R("sync_file_range", sync_file_range(file, 0, 0, 0));
    R("sync_file_range bad", sync_file_range(file, 0, 0, 77));
    R("seek data", lseek(file, 0, SEEK_DATA));
    R("seek data beyond", lseek(file, 1 << 20, SEEK_DATA));
    R("seek hole beyond", lseek(file, 1 << 20, SEEK_HOLE));
    R("seek bad", lseek(file, 0, 77));
    R("seek to the end of time", lseek(file, INT64_MAX, SEEK_SET) == INT64_MAX);
    R("and write there", write(file, "x", 1));
    R("pwrite at a negative place", pwrite(file, "x", 1, -1));
}

static void sharing(void) {
    R("unshare nothing", unshare(0));
    R("unshare files", unshare(CLONE_FILES));
    R("unshare places", unshare(CLONE_FS));
    R("unshare semaphores", unshare(CLONE_SYSVSEM));
    R("unshare handlers", unshare(CLONE_SIGHAND));
    R("unshare memory", unshare(CLONE_VM));
    R("unshare a thread", unshare(CLONE_THREAD));
    R("unshare an unknown thing", unshare(CLONE_PTRACE));
    R("mount of an unknown kind", mount("x", "d", "no-such-kind", 0, NULL));
    R("umount of no mount", umount2("d", 0));
    R("umount with a bad flag", umount2("d", 0x1000));
    R("umount of nothing", umount2("isn't there", 0));
    if (fork() == 0) {
        syscall(SYS_setresuid, 1000, 1000, 1000);
        R("mount as a user", mount("x", "d", "tmpfs", 0, NULL));
        R("umount as a user", umount2("d", 0));
        R("pivot_root as a user", syscall(SYS_pivot_root, ".", "d"));
        R("setns of no namespace", syscall(SYS_setns, 0, CLONE_NEWNET));
        R("sethostname as a user", sethostname("x", 1));
        R("unshare as a user", unshare(CLONE_NEWNS));
        _exit(0);
    }
    wait(NULL);
}

// What /proc says of an open file and of memory that was touched.
static void shown(void) {
    char name[64], line[256];
    size_t size = 1 << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, size, MADV_NOHUGEPAGE);
    mprotect(memory, size / 2, PROT_READ | PROT_WRITE | PROT_EXEC);  // so that no other mapping is joined with it
    memset(memory, 1, 300000);
    int file = open("controlled", O_RDONLY | O_CLOEXEC);
    lseek(file, 7, SEEK_SET);
    sprintf(name, "/proc/self/fdinfo/%d", file);
    FILE *told = fopen(name, "r");
    long position = -1, flags = -1;
    while (fgets(line, sizeof line, told)) sscanf(line, "pos: %ld", &position), sscanf(line, "flags: %lo", &flags);
    fclose(told);
    say("fdinfo: %ld, close on exec %d\n", position, (flags & O_CLOEXEC) != 0);
    told = fopen("/proc/self/smaps", "r");
    int inside = 0;
    while (fgets(line, sizeof line, told)) {
        unsigned long start, end, value;
        char key[64];
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) inside = start == (unsigned long)memory;
        else if (inside && sscanf(line, "%63[A-Za-z_]: %lu kB", key, &value) == 2 &&
                 (!strcmp(key, "Size") || !strcmp(key, "Rss") || !strcmp(key, "Private_Dirty") || !strcmp(key, "Anonymous")))
            say("smaps: %s %lu\n", key, value);
    }
    fclose(told);
    munmap(memory, size);
}

static int drop(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

int main(void) {
    char folder[64];
    umask(022);
    sprintf(folder, "/dev/shm/corners-%d", getpid());
    if (mkdir(folder, 0755) < 0 || chdir(folder) < 0) return 1;
    for (unsigned i = 0; i < sizeof block; i++) block[i] = 'a' + i % 23;
    allocation();
    seals();
    for (unsigned i = 0; i < sizeof block; i++) block[i] = 'a' + i % 23;
    names();
    renames();
    bits();
    times();
    limits();
    directories();
    controls();
    shown();
    sharing();
    say("cleared up: %d\n", nftw(folder, drop, 8, FTW_DEPTH | FTW_PHYS));
    return 0;
}
