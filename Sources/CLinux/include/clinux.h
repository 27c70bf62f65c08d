// What Swift cannot call on Linux: fork, variadic functions, macros over control messages, and system calls
// for which the C library has no function.
//
// Unless a comment says otherwise a function returns its result, which is never negative, or the negated errno.
// All descriptors that a function makes or receives are close-on-exec.

#ifndef CLINUX_H
#define CLINUX_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

// A system call number that no kernel has. Our filters hand it to the launcher, so that a child under its
// filter waits in the kernel until the launcher holds the listener. Below 0x40000000, the mark of x32.
#define CLINUX_RENDEZVOUS_SYSCALL 0x3FFFFF42

// System call numbers that differ between machines.
extern const int32_t clinux_execve_number;
extern const int32_t clinux_execveat_number;
extern const int32_t clinux_mkdir_number;    // -1 where the machine has none
extern const int32_t clinux_mkdirat_number;

// AUDIT_ARCH_* of this machine, as seccomp_data.arch has it.
extern const uint32_t clinux_audit_arch;

// MARK: Processes

// Forks the single-threaded caller.
pid_t clinux_fork(void);

enum {
    CLINUX_WAIT_NO_HANG = 1,  // return at once
    CLINUX_WAIT_PEEK = 2,     // leave the process a zombie
};

struct clinux_ended {
    pid_t pid;        // 0: none has ended (with CLINUX_WAIT_NO_HANG)
    bool signaled;    // else it exited
    int32_t value;    // exit code, or signal
    uint64_t user_microseconds;
    uint64_t system_microseconds;
    uint64_t max_rss_bytes;
};

// Waits for a child's end; pid 0 waits for any child. -ECHILD: there is none.
int clinux_wait(pid_t pid, int flags, struct clinux_ended *ended);

// Bytes of the largest resident set that the caller has had.
uint64_t clinux_own_max_rss(void);

// How many arenas threads get from malloc at most (mallopt(3)); to be called before there are any.
void clinux_limit_malloc_arenas(int count);

int clinux_pidfd_open(pid_t pid);
int clinux_pidfd_getfd(int pidfd, int descriptor);
int clinux_pidfd_send_signal(int pidfd, int signal);

int clinux_become_subreaper(void);

// Whether others of the same user may trace the caller and read its memory.
int clinux_set_dumpable(bool dumpable);

// The signal that the caller gets when the thread that forked it ends; a change of user clears it.
int clinux_set_parent_death_signal(int signal);

int clinux_set_no_new_privileges(void);
// Nanoseconds by which the kernel may be late with the caller's waits; children inherit it.
int clinux_set_timer_slack(unsigned long nanoseconds);

// Puts the caller before every ordinary process (SCHED_RR, else the best nice value), as far as it may, and back.
void clinux_raise_priority(void);
void clinux_restore_priority(void);

int clinux_unshare(int flags);

// MARK: Namespaces

// CLONE_NEW* flags, whose C type differs between languages.
extern const int clinux_new_mounts;
extern const int clinux_new_ipc;
extern const int clinux_new_user;
extern const int clinux_new_processes;
extern const int clinux_new_network;

int clinux_setns(int descriptor, int kind);

// Forks the single-threaded caller; the new process is a child of the caller's own parent (CLONE_PARENT), which
// the first process of a pid namespace cannot make. What it gives the caller is the pid in the caller's namespace.
pid_t clinux_fork_sibling(void);

// What others see of the caller in /proc/PID/comm, at most 15 bytes.
void clinux_set_name(const char *name);

// The part of the first process of a pid namespace: reaps whatever ends, until it is killed.
_Noreturn void clinux_reap_forever(void);

// The ids that the calling thread uses for files alone; as root with another one the kernel checks as for that user.
void clinux_set_file_ids(uid_t uid, gid_t gid);

// MARK: Mounts

// No mount made from here on reaches another namespace, or comes from one.
int clinux_make_mounts_private(void);

// A detached copy of the mounts at and below what a descriptor means.
int clinux_copy_mounts(int descriptor);

// A detached copy of the mount of one file or folder, without what is mounted below.
int clinux_copy_mount(const char *path);

enum {
    CLINUX_MOUNT_READ_ONLY = 0x01,
    CLINUX_MOUNT_NO_SETUID = 0x02,
    CLINUX_MOUNT_NO_DEVICES = 0x04,
    CLINUX_MOUNT_NO_EXEC = 0x08,
};

// Adds attributes to a mount, and with `below` to all mounts below it; needs Linux 5.12. No attribute is taken away.
int clinux_restrict_mounts(int folder, const char *path, uint64_t attributes, bool below);

// A new file system of a type, not mounted anywhere yet: pairs of option names and values, ended by a null name.
int clinux_new_file_system(const char *type, const char *const *options, uint64_t attributes);

// Mounts what a descriptor means on a path.
int clinux_attach_mount(int descriptor, const char *path);

// Makes the mount that lies over the root folder, and that a descriptor means, the root; the old one goes, and with
// it every mount that was not copied.
int clinux_become_root(int descriptor);

// Blocks no signal and gives each its default disposition.
int clinux_reset_signals(void);

// Gives one signal its default disposition.
int clinux_default_signal(int signal);

// Blocks no signal.
int clinux_unblock_signals(void);

// A descriptor that is readable when a child has ended; SIGCHLD stays blocked.
int clinux_child_signal_descriptor(void);

// A descriptor that is readable when SIGTERM or SIGWINCH has come; both stay blocked.
int clinux_end_signal_descriptor(void);

// MARK: Privileges

// Takes every capability out of the bounding set; needs CAP_SETPCAP.
int clinux_drop_bounding_set(void);

// Clears the ambient, effective, permitted and inheritable sets.
int clinux_drop_capabilities(void);

// Real, effective and saved ids of the calling thread alone.
int clinux_set_no_groups(void);
int clinux_set_gid(gid_t gid);
int clinux_set_uid(uid_t uid);

// Sets soft and hard limit of an RLIMIT_* number; a limit above the hard one of a caller who may not raise it
// is cut to that.
int clinux_set_limit(int resource, uint64_t soft, uint64_t hard);

int clinux_get_limit(int resource, uint64_t *soft, uint64_t *hard);

// RLIMIT_* numbers, whose C type differs between languages.
extern const int clinux_limit_core;
extern const int clinux_limit_cpu;
extern const int clinux_limit_file_size;
extern const int clinux_limit_open_files;
extern const int clinux_limit_processes;

// MARK: Descriptors

int clinux_fcntl(int descriptor, int command, long argument);
int clinux_ioctl(int descriptor, unsigned long request, void *argument);
int clinux_close_range(unsigned first, unsigned last);

// dup3 with close-on-exec.
int clinux_duplicate_to(int descriptor, int place);
int clinux_pipe(int ends[2], int flags);
int clinux_accept(int listener, int flags);

// O_PATH, and AT_EMPTY_PATH for calls that take a descriptor with an empty path.
extern const int clinux_open_path;
#define CLINUX_AT_EMPTY_PATH 0x1000

int clinux_openat(int folder, const char *path, int flags, mode_t mode);

enum {
    CLINUX_RESOLVE_NO_XDEV = 0x01,
    CLINUX_RESOLVE_NO_MAGICLINKS = 0x02,
    CLINUX_RESOLVE_NO_SYMLINKS = 0x04,
    CLINUX_RESOLVE_BENEATH = 0x08,
};

int clinux_openat2(int folder, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);

// A new memfd that can be sealed.
int clinux_memfd(const char *name);

// Forbids every later change of a memfd.
int clinux_seal(int descriptor);

// Forbids every later change of a memfd's size; its bytes can still be written.
int clinux_seal_size(int descriptor);

// Whether a descriptor is a memfd with all of these seals: 1, 0.
int clinux_is_sealed(int descriptor);

// Asks for a pipe's size in bytes; the result is the size it has.
int clinux_set_pipe_size(int descriptor, int bytes);

int clinux_set_nonblocking(int descriptor);

struct clinux_stat {
    uint16_t mode;
    uint32_t uid;
    uint32_t gid;
    uint32_t links;
    uint64_t inode;
    uint64_t device;
    uint64_t mount;   // mount id, 0 where the kernel does not say
    uint64_t size;
    int64_t modified_seconds;
    uint32_t modified_nanoseconds;
    int64_t changed_seconds;
    uint32_t changed_nanoseconds;
};

// statx(2). An empty path with AT_EMPTY_PATH means the descriptor itself.
int clinux_stat(int folder, const char *path, int flags, struct clinux_stat *status);

// Polls for at most this many nanoseconds; negative waits for ever. -EINTR is 0 ready descriptors.
int clinux_poll(struct pollfd *descriptors, size_t count, int64_t nanoseconds);

// MARK: Sockets

// A connected pair of SOCK_SEQPACKET sockets.
int clinux_packet_pair(int ends[2]);

// A listening SOCK_SEQPACKET socket at a new path, and a connected one to it; neither ever waits: -EAGAIN from
// connecting means that too many are waiting to be accepted.
int clinux_packet_listen(const char *path, int backlog);
int clinux_packet_connect(const char *path);

struct clinux_credentials {
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

int clinux_peer_credentials(int socket, struct clinux_credentials *credentials);

#define CLINUX_PACKET_DESCRIPTORS 8

// Sends one packet with descriptors, without SIGPIPE; flags as of sendmsg, such as MSG_DONTWAIT.
ssize_t clinux_send_packet(
    int socket, const void *bytes, size_t count, const int *descriptors, size_t descriptor_count, int flags);

struct clinux_packet {
    size_t count;               // bytes in the buffer
    size_t descriptor_count;    // descriptors received
    int descriptors[CLINUX_PACKET_DESCRIPTORS];
    bool end;                   // the other end is closed: there is no packet
    bool bytes_truncated;       // the packet was longer than the buffer
    bool descriptors_truncated; // more descriptors were sent; the kernel has closed those
};

// Receives one packet; the caller owns its descriptors. 0 or a negated errno (-EAGAIN: none is there).
int clinux_receive_packet(int socket, void *buffer, size_t capacity, int flags, struct clinux_packet *packet);

// MARK: Readiness

int clinux_epoll(void);

enum {
    CLINUX_READABLE = 1,
    CLINUX_WRITABLE = 2,
    CLINUX_HUNG_UP = 4,  // reported without being asked for: the other end is closed, or an error is there
};

// Level-triggered. The token comes back with every report.
int clinux_epoll_add(int epoll, int descriptor, int interest, uint64_t token);
int clinux_epoll_change(int epoll, int descriptor, int interest, uint64_t token);
int clinux_epoll_remove(int epoll, int descriptor);

struct clinux_ready {
    uint64_t token;
    int is;  // CLINUX_READABLE and so on
};

#define CLINUX_EPOLL_BATCH 64

// Fills at most CLINUX_EPOLL_BATCH reports; negative milliseconds wait for ever. -EINTR is 0 reports.
int clinux_epoll_wait(int epoll, struct clinux_ready *ready, int milliseconds);

// A non-blocking counter that is readable when it is not 0 (eventfd).
int clinux_event_descriptor(void);
int clinux_event_raise(int event);
int clinux_event_clear(int event);

// MARK: Landlock

// linux/landlock.h of Linux 6.18; older headers lack the later ones.
#define CLINUX_LANDLOCK_EXECUTE 0x0001ull
#define CLINUX_LANDLOCK_WRITE_FILE 0x0002ull
#define CLINUX_LANDLOCK_READ_FILE 0x0004ull
#define CLINUX_LANDLOCK_READ_DIR 0x0008ull
#define CLINUX_LANDLOCK_REMOVE_DIR 0x0010ull
#define CLINUX_LANDLOCK_REMOVE_FILE 0x0020ull
#define CLINUX_LANDLOCK_MAKE_CHAR 0x0040ull
#define CLINUX_LANDLOCK_MAKE_DIR 0x0080ull
#define CLINUX_LANDLOCK_MAKE_REG 0x0100ull
#define CLINUX_LANDLOCK_MAKE_SOCK 0x0200ull
#define CLINUX_LANDLOCK_MAKE_FIFO 0x0400ull
#define CLINUX_LANDLOCK_MAKE_BLOCK 0x0800ull
#define CLINUX_LANDLOCK_MAKE_SYM 0x1000ull
#define CLINUX_LANDLOCK_REFER 0x2000ull      // ABI 2
#define CLINUX_LANDLOCK_TRUNCATE 0x4000ull   // ABI 3
#define CLINUX_LANDLOCK_IOCTL_DEV 0x8000ull  // ABI 5
#define CLINUX_LANDLOCK_BIND_TCP 0x1ull      // ABI 4
#define CLINUX_LANDLOCK_CONNECT_TCP 0x2ull
#define CLINUX_LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET 0x1ull  // ABI 6
#define CLINUX_LANDLOCK_SCOPE_SIGNAL 0x2ull

// The rights that a path which is no folder can have.
#define CLINUX_LANDLOCK_FILE_RIGHTS 0xC007ull

int clinux_landlock_abi(void);
int clinux_landlock_create(uint64_t handled_access, uint64_t handled_network, uint64_t scoped);
int clinux_landlock_allow(int ruleset, int path, uint64_t access);
int clinux_landlock_restrict(int ruleset);

// MARK: seccomp

#define CLINUX_SECCOMP_NEW_LISTENER 0x08ul
#define CLINUX_SECCOMP_WAIT_KILLABLE 0x20ul  // Linux 5.19

// Installs a raw sock_filter array for the calling thread: the listener with NEW_LISTENER, else 0.
int clinux_seccomp_install(const void *program, size_t instructions, unsigned long flags);

// Whether the kernel knows a SECCOMP_RET_* action: 1, 0.
int clinux_seccomp_knows_action(uint32_t action);

struct clinux_notification {
    uint64_t id;
    uint32_t pid;
    int32_t number;
    uint32_t arch;
    uint64_t arguments[6];
};

// Takes one notification; blocks where there is none, so poll first. -ENOENT: its process has gone.
int clinux_notification_receive(int listener, struct clinux_notification *notification);

// Answers with an errno, positive. -ENOENT: its process has gone.
int clinux_notification_deny(int listener, uint64_t id, int error);

// Lets the call go on.
int clinux_notification_continue(int listener, uint64_t id);

// Whether the notifying process is still waiting: 1, 0.
int clinux_notification_is_live(int listener, uint64_t id);

// The call that no kernel has; returns 0 when the launcher has answered it.
int clinux_rendezvous(void);

#ifdef __cplusplus
}
#endif

#endif
