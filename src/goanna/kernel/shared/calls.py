"""The arguments of the Linux system calls in words: what a trace needs to say what a program asked for.

One line a call: its name, then the kind of each argument. The kernel takes from here which user memory a trace record
copies (`capture`), the host how to word each argument (observe/trace.py). A kind that ends in `:k` has its length in
bytes in argument k, counted from 0; `:result` has it in the call's result.

    fd dirfd              a descriptor; AT_FDCWD by name          path string    a text that ends in a zero byte
    in:k out:k            bytes that the call reads, or fills     int long size  numbers, signed or not
    hex pointer mode      in hexadecimal, in octal                in NAMES of observe/words.py: flags, constants
    NAME@SIZE NAME!SIZE   a structure of SIZE bytes that the call reads, or fills when it succeeds
"""

_LINES = """
read fd out:result size
write fd in:2 size
open path open_flags mode
close fd
stat path stat!144
fstat fd stat!144
lstat path stat!144
poll pollfds@32 size int
lseek fd long whence
mmap pointer size protection map_flags fd hex
mprotect pointer size protection
munmap pointer size
brk pointer
rt_sigaction signal sigaction@32 sigaction!32 size
rt_sigprocmask sigmask_how sigset@8 sigset!8 size
rt_sigreturn
ioctl fd ioctl pointer
pread64 fd out:result size long
pwrite64 fd in:2 size long
readv fd pointer size
writev fd pointer size
access path access_mode
pipe fds!8
select int pointer pointer pointer timeval@16
sched_yield
mremap pointer size size mremap_flags pointer
msync pointer size msync_flags
mincore pointer size pointer
madvise pointer size advice
dup fd
dup2 fd fd
pause
nanosleep timespec@16 timespec!16
getitimer itimer itimerval!32
alarm int
setitimer itimer itimerval@32 itimerval!32
getpid
sendfile fd fd pointer size
socket socket_domain socket_type int
connect fd in:2 size
accept fd pointer pointer
sendto fd in:2 size message_flags pointer size
recvfrom fd out:result size message_flags pointer pointer
sendmsg fd pointer message_flags
recvmsg fd pointer message_flags
shutdown fd int
bind fd in:2 size
listen fd int
getsockname fd pointer pointer
getpeername fd pointer pointer
socketpair socket_domain socket_type int fds!8
setsockopt fd int int in:4 size
getsockopt fd int int pointer pointer
clone clone_flags pointer pointer pointer hex
fork
vfork
execve path pointer pointer
exit int
wait4 int pointer wait_flags pointer
kill int signal
uname utsname!65
fcntl fd fcntl hex
flock fd int
fsync fd
fdatasync fd
truncate path long
ftruncate fd long
getdents fd pointer size
getcwd out:result size
chdir path
fchdir fd
rename path path
mkdir path mode
rmdir path
creat path mode
link path path
unlink path
symlink path path
readlink path out:result size
chmod path mode
fchmod fd mode
chown path int int
fchown fd int int
lchown path int int
umask mode
gettimeofday timeval!16 pointer
getrlimit limit rlimit!16
getrusage int pointer
sysinfo pointer
times pointer
ptrace int int pointer pointer
getuid
syslog int pointer int
getgid
setuid int
setgid int
geteuid
getegid
setpgid int int
getppid
getpgrp
setsid
setreuid int int
setregid int int
getgroups int pointer
setgroups int pointer
setresuid int int int
getresuid pointer pointer pointer
setresgid int int int
getresgid pointer pointer pointer
getpgid int
setfsuid int
setfsgid int
getsid int
capget pointer pointer
capset pointer pointer
rt_sigpending sigset!8 size
rt_sigtimedwait sigset@8 pointer timespec@16 size
rt_sigqueueinfo int signal pointer
rt_sigsuspend sigset@8 size
sigaltstack stack@24 stack!24
utime path pointer
mknod path mode hex
personality hex
statfs path pointer
fstatfs fd pointer
getpriority int int
setpriority int int int
sched_setparam int pointer
ioprio_set int int hex
ioprio_get int int
sched_getparam int pointer
sched_setscheduler int int pointer
sched_getscheduler int
sched_get_priority_max int
sched_get_priority_min int
sched_rr_get_interval int timespec!16
sched_setattr int pointer hex
sched_getattr int pointer size hex
process_vm_readv int pointer size pointer size hex
process_vm_writev int pointer size pointer size hex
mlock pointer size
munlock pointer size
mlockall hex
munlockall
prctl prctl hex hex hex hex
arch_prctl arch_prctl pointer
adjtimex pointer
setrlimit limit rlimit@16
chroot path
sync
settimeofday timeval@16 pointer
mount path path string hex pointer
umount2 path hex
reboot hex hex hex pointer
sethostname in:1 size
setdomainname in:1 size
gettid
readahead fd long size
setxattr path string in:3 size hex
lsetxattr path string in:3 size hex
fsetxattr fd string in:3 size hex
getxattr path string out:result size
lgetxattr path string out:result size
fgetxattr fd string out:result size
listxattr path out:result size
llistxattr path out:result size
flistxattr fd out:result size
removexattr path string
lremovexattr path string
fremovexattr fd string
tkill int signal
time pointer
futex pointer futex int pointer pointer int
sched_setaffinity int size pointer
sched_getaffinity int size out:result
epoll_create int
getdents64 fd pointer size
set_tid_address pointer
restart_syscall
fadvise64 fd long size int
timer_create clock pointer ints!4
timer_settime int int itimerspec@32 itimerspec!32
timer_gettime int itimerspec!32
timer_getoverrun int
timer_delete int
clock_settime clock timespec@16
clock_gettime clock timespec!16
clock_getres clock timespec!16
clock_nanosleep clock int timespec@16 timespec!16
exit_group int
epoll_wait fd pointer int int
epoll_ctl fd epoll_ctl fd epoll_event@12
tgkill int int signal
utimes path pointer
waitid int int pointer wait_flags pointer
inotify_init
inotify_add_watch fd path hex
inotify_rm_watch fd int
openat dirfd path open_flags mode
mkdirat dirfd path mode
mknodat dirfd path mode hex
fchownat dirfd path int int at_flags
futimesat dirfd path pointer
newfstatat dirfd path stat!144 at_flags
fstatat dirfd path stat!128 at_flags
unlinkat dirfd path at_flags
renameat dirfd path dirfd path
linkat dirfd path dirfd path at_flags
symlinkat path dirfd path
readlinkat dirfd path out:result size
fchmodat dirfd path mode
faccessat dirfd path access_mode
pselect6 int pointer pointer pointer timespec@16 pointer
ppoll pollfds@32 size timespec@16 sigset@8 size
unshare clone_flags
set_robust_list pointer size
get_robust_list int pointer pointer
splice fd pointer fd pointer size hex
tee fd fd size hex
sync_file_range fd long size hex
vmsplice fd pointer size hex
utimensat dirfd path pointer at_flags
epoll_pwait fd pointer int int sigset@8 size
signalfd fd sigset@8 size
timerfd_create clock hex
eventfd int
fallocate fd hex long long
timerfd_settime fd int itimerspec@32 itimerspec!32
timerfd_gettime fd itimerspec!32
accept4 fd pointer pointer socket_type
signalfd4 fd sigset@8 size hex
eventfd2 int eventfd_flags
epoll_create1 epoll_flags
dup3 fd fd open_flags
pipe2 fds!8 open_flags
inotify_init1 hex
preadv fd pointer size long
pwritev fd pointer size long
rt_tgsigqueueinfo int int signal pointer
prlimit64 int limit rlimit@16 rlimit!16
setns fd hex
pivot_root path path
sendmmsg fd pointer size message_flags
recvmmsg fd pointer size message_flags timespec@16
getcpu ints!4 ints!4 pointer
clock_adjtime clock pointer
syncfs fd
renameat2 dirfd path dirfd path hex
seccomp int hex pointer
getrandom out:result size random_flags
memfd_create string hex
execveat dirfd path pointer pointer at_flags
membarrier int hex int
mlock2 pointer size hex
copy_file_range fd pointer fd pointer size hex
preadv2 fd pointer size long hex hex
pwritev2 fd pointer size long hex hex
pkey_mprotect pointer size protection int
statx dirfd path at_flags hex pointer
rseq pointer size hex hex
pidfd_send_signal fd signal pointer hex
io_uring_setup size pointer
io_uring_enter fd size size hex pointer size
io_uring_register fd int pointer size
pidfd_open int hex
clone3 clone_args@64 size
close_range fd fd hex
openat2 dirfd path open_how@24 size
pidfd_getfd fd fd hex
faccessat2 dirfd path access_mode at_flags
fchmodat2 dirfd path mode at_flags
epoll_pwait2 fd pointer int timespec@16 sigset@8 size
futex_waitv pointer size hex timespec@16 clock
futex_wake pointer hex int hex
futex_wait pointer hex hex hex timespec@16 clock
futex_requeue pointer hex int int
set_mempolicy_home_node pointer size hex hex
"""

SIGNATURES: dict[str, tuple[str, ...]] = {
    words[0]: tuple(words[1:]) for words in (line.split() for line in _LINES.split("\n") if line)
}

ANY = ("hex",) * 6  # the kinds of a call that is not listed

# How the kernel takes a copy of what an argument points to.
CAPTURE_NONE, CAPTURE_STRING, CAPTURE_IN, CAPTURE_OUT, CAPTURE_RESULT = range(5)
# The length of CAPTURE_IN and CAPTURE_OUT: below this a size in bytes, from it on the argument that holds it.
LENGTH_ARGUMENT = 0xF0


def capture(kind: str) -> tuple[int, int]:
    """What the kernel copies for an argument of this kind: one of CAPTURE_…, and the length."""
    if kind in ("path", "string"):
        return CAPTURE_STRING, 0
    for mark, way in (("@", CAPTURE_IN), ("!", CAPTURE_OUT)):
        if mark in kind:
            return way, int(kind.partition(mark)[2])
    if kind == "out:result":
        return CAPTURE_RESULT, 0
    if kind.startswith(("in:", "out:")):
        way, _, argument = kind.partition(":")
        return CAPTURE_IN if way == "in" else CAPTURE_OUT, LENGTH_ARGUMENT + int(argument)
    return CAPTURE_NONE, 0
