#define _GNU_SOURCE

#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
const uint32_t clinux_audit_arch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
const uint32_t clinux_audit_arch = AUDIT_ARCH_AARCH64;
#else
#error "Bulkhead runs on x86-64 and aarch64"
#endif

const int32_t clinux_execve_number = SYS_execve;
const int32_t clinux_execveat_number = SYS_execveat;
#ifdef SYS_mkdir
const int32_t clinux_mkdir_number = SYS_mkdir;
#else
const int32_t clinux_mkdir_number = -1;
#endif
const int32_t clinux_mkdirat_number = SYS_mkdirat;

const int clinux_limit_core = RLIMIT_CORE;
const int clinux_limit_cpu = RLIMIT_CPU;
const int clinux_limit_file_size = RLIMIT_FSIZE;
const int clinux_limit_open_files = RLIMIT_NOFILE;

const int clinux_open_path = O_PATH;

static long result(long returned) { return returned < 0 ? -errno : returned; }

pid_t clinux_fork(void) { return (pid_t)result(fork()); }

static uint64_t microseconds(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

// The system call itself gives the usage; the C library's waitid does not hand it on.
int clinux_wait(pid_t pid, int flags, struct clinux_ended *ended) {
    siginfo_t info;
    struct rusage usage;
    int options = WEXITED | __WALL;
    if (flags & CLINUX_WAIT_NO_HANG) options |= WNOHANG;
    if (flags & CLINUX_WAIT_PEEK) options |= WNOWAIT;
    memset(&info, 0, sizeof info);
    memset(&usage, 0, sizeof usage);
    memset(ended, 0, sizeof *ended);
    idtype_t which = pid > 0 ? P_PID : P_ALL;
    long returned;
    do {
        returned = syscall(SYS_waitid, which, pid, &info, options, &usage);
    } while (returned < 0 && errno == EINTR);
    if (returned < 0) return -errno;
    ended->pid = info.si_pid;
    ended->signaled = info.si_code != CLD_EXITED;
    ended->value = info.si_status;
    ended->user_microseconds = microseconds(usage.ru_utime);
    ended->system_microseconds = microseconds(usage.ru_stime);
    ended->max_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
    return 0;
}

int clinux_pidfd_open(pid_t pid) { return (int)result(syscall(SYS_pidfd_open, pid, 0)); }

int clinux_pidfd_getfd(int pidfd, int descriptor) {
    return (int)result(syscall(SYS_pidfd_getfd, pidfd, descriptor, 0));
}

int clinux_pidfd_send_signal(int pidfd, int signal) {
    return (int)result(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int clinux_become_subreaper(void) { return (int)result(prctl(PR_SET_CHILD_SUBREAPER, 1ul, 0ul, 0ul, 0ul)); }

int clinux_set_dumpable(bool dumpable) {
    return (int)result(prctl(PR_SET_DUMPABLE, (unsigned long)dumpable, 0ul, 0ul, 0ul));
}

int clinux_set_parent_death_signal(int signal) {
    return (int)result(prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0ul, 0ul, 0ul));
}

int clinux_set_no_new_privileges(void) {
    return (int)result(prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul));
}

int clinux_set_timer_slack(unsigned long nanoseconds) {
    return (int)result(prctl(PR_SET_TIMERSLACK, nanoseconds, 0ul, 0ul, 0ul));
}

static enum { not_raised, by_policy, by_nice } raised = not_raised;
static int nice_before;

void clinux_raise_priority(void) {
    struct sched_param lowest = {.sched_priority = 1};
    if (raised != not_raised || sched_getscheduler(0) != SCHED_OTHER) return;
    if (sched_setscheduler(0, SCHED_RR, &lowest) == 0) {
        raised = by_policy;
        return;
    }
    nice_before = getpriority(PRIO_PROCESS, 0);
    if (setpriority(PRIO_PROCESS, 0, -20) == 0) raised = by_nice;
}

void clinux_restore_priority(void) {
    struct sched_param none = {.sched_priority = 0};
    if (raised == by_policy) sched_setscheduler(0, SCHED_OTHER, &none);
    if (raised == by_nice) setpriority(PRIO_PROCESS, 0, nice_before);
    raised = not_raised;
}

int clinux_unshare(int flags) { return (int)result(unshare(flags)); }

// The C library keeps two signals to itself and refuses to name them; the kernel's own call resets those too.
int clinux_default_signal(int signal) {
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action;
    memset(&action, 0, sizeof action);
    return (int)result(syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof action.mask));
}

int clinux_reset_signals(void) {
    for (int signal = 1; signal <= 64; signal++) {
        if (signal == SIGKILL || signal == SIGSTOP) continue;
        int reset = clinux_default_signal(signal);
        if (reset < 0) return reset;
    }
    return clinux_unblock_signals();
}

int clinux_unblock_signals(void) {
    uint64_t none = 0;
    return (int)result(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none));
}

int clinux_child_signal_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -errno;
    return (int)result(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int clinux_drop_bounding_set(void) {
    for (unsigned long capability = 0; capability < 64; capability++) {
        int has = prctl(PR_CAPBSET_READ, capability, 0ul, 0ul, 0ul);
        if (has < 0) break;  // EINVAL: beyond the last capability of this kernel.
        if (has == 0) continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0ul, 0ul, 0ul) < 0) return -errno;
    }
    return 0;
}

int clinux_drop_capabilities(void) {
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0ul, 0ul, 0ul) < 0) return -errno;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
    memset(none, 0, sizeof none);
    return (int)result(syscall(SYS_capset, &header, none));
}

int clinux_set_no_groups(void) { return (int)result(syscall(SYS_setgroups, 0, NULL)); }
int clinux_set_gid(gid_t gid) { return (int)result(syscall(SYS_setresgid, gid, gid, gid)); }
int clinux_set_uid(uid_t uid) { return (int)result(syscall(SYS_setresuid, uid, uid, uid)); }

int clinux_set_limit(int resource, uint64_t soft, uint64_t hard) {
    struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    if (setrlimit(resource, &limit) == 0) return 0;
    if (errno != EPERM) return -errno;
    struct rlimit present;
    if (getrlimit(resource, &present) < 0) return -errno;
    if (limit.rlim_max > present.rlim_max) limit.rlim_max = present.rlim_max;
    if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
    return (int)result(setrlimit(resource, &limit));
}

int clinux_get_limit(int resource, uint64_t *soft, uint64_t *hard) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0) return -errno;
    *soft = limit.rlim_cur;
    *hard = limit.rlim_max;
    return 0;
}

int clinux_fcntl(int descriptor, int command, long argument) {
    return (int)result(fcntl(descriptor, command, argument));
}

int clinux_ioctl(int descriptor, unsigned long request, void *argument) {
    return (int)result(ioctl(descriptor, request, argument));
}

int clinux_close_range(unsigned first, unsigned last) {
    return (int)result(syscall(SYS_close_range, first, last, 0));
}

int clinux_duplicate_to(int descriptor, int place) {
    return (int)result(dup3(descriptor, place, O_CLOEXEC));
}

int clinux_pipe(int ends[2], int flags) { return (int)result(pipe2(ends, flags | O_CLOEXEC)); }

int clinux_accept(int listener, int flags) {
    return (int)result(accept4(listener, NULL, NULL, flags | SOCK_CLOEXEC));
}

int clinux_openat(int folder, const char *path, int flags, mode_t mode) {
    return (int)result(openat(folder, path, flags | O_CLOEXEC, mode));
}

int clinux_openat2(int folder, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    return (int)result(syscall(SYS_openat2, folder, path, &how, sizeof how));
}

int clinux_memfd(const char *name) {
    return (int)result(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

static const int all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

int clinux_seal(int descriptor) { return (int)result(fcntl(descriptor, F_ADD_SEALS, all_seals)); }

int clinux_seal_size(int descriptor) {
    return (int)result(fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
}

int clinux_is_sealed(int descriptor) {
    int seals = fcntl(descriptor, F_GET_SEALS);
    return seals >= 0 && (seals & all_seals) == all_seals;
}

int clinux_set_pipe_size(int descriptor, int bytes) {
    return (int)result(fcntl(descriptor, F_SETPIPE_SZ, bytes));
}

int clinux_set_nonblocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0) return -errno;
    return (int)result(fcntl(descriptor, F_SETFL, flags | O_NONBLOCK));
}

int clinux_stat(int folder, const char *path, int flags, struct clinux_stat *status) {
    struct statx found;
    memset(&found, 0, sizeof found);
    if (statx(folder, path, flags, STATX_BASIC_STATS | STATX_MNT_ID, &found) < 0) return -errno;
    status->mode = found.stx_mode;
    status->uid = found.stx_uid;
    status->gid = found.stx_gid;
    status->links = found.stx_nlink;
    status->inode = found.stx_ino;
    status->device = (uint64_t)found.stx_dev_major << 32 | found.stx_dev_minor;
    status->mount = found.stx_mask & STATX_MNT_ID ? found.stx_mnt_id : 0;
    status->size = found.stx_size;
    status->modified_seconds = found.stx_mtime.tv_sec;
    status->modified_nanoseconds = found.stx_mtime.tv_nsec;
    status->changed_seconds = found.stx_ctime.tv_sec;
    status->changed_nanoseconds = found.stx_ctime.tv_nsec;
    return 0;
}

int clinux_poll(struct pollfd *descriptors, size_t count, int64_t nanoseconds) {
    struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int ready = ppoll(descriptors, count, nanoseconds < 0 ? NULL : &timeout, NULL);
    if (ready >= 0) return ready;
    if (errno != EINTR) return -errno;
    for (size_t index = 0; index < count; index++) descriptors[index].revents = 0;
    return 0;
}

static int packet_socket(const char *path, struct sockaddr_un *address) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return made < 0 ? -errno : made;
}

int clinux_packet_listen(const char *path, int backlog) {
    struct sockaddr_un address;
    int made = packet_socket(path, &address);
    if (made < 0) return made;
    if (bind(made, (struct sockaddr *)&address, sizeof address) < 0 || listen(made, backlog) < 0) {
        int error = errno;
        close(made);
        return -error;
    }
    return made;
}

int clinux_packet_connect(const char *path) {
    struct sockaddr_un address;
    int made = packet_socket(path, &address);
    if (made < 0) return made;
    if (connect(made, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(made);
        return -error;
    }
    return made;
}

int clinux_packet_pair(int ends[2]) {
    return (int)result(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
}

int clinux_peer_credentials(int socket, struct clinux_credentials *credentials) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return -errno;
    credentials->pid = peer.pid;
    credentials->uid = peer.uid;
    credentials->gid = peer.gid;
    return 0;
}

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(CLINUX_PACKET_DESCRIPTORS * sizeof(int))];
};

ssize_t clinux_send_packet(
    int socket, const void *bytes, size_t count, const int *descriptors, size_t descriptor_count, int flags
) {
    if (descriptor_count > CLINUX_PACKET_DESCRIPTORS) return -EINVAL;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union control control;
    if (descriptor_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(descriptor_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptor_count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, descriptor_count * sizeof(int));
    }
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return result(sent);
}

static void take_descriptors(struct msghdr *message, struct clinux_packet *packet) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(packet->descriptors, CMSG_DATA(header), count * sizeof(int));
        packet->descriptor_count = count;
    }
}

int clinux_receive_packet(int socket, void *buffer, size_t capacity, int flags, struct clinux_packet *packet) {
    struct iovec part = {.iov_base = buffer, .iov_len = capacity};
    union control control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    memset(packet, 0, sizeof *packet);
    ssize_t received;
    do {
        received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    } while (received < 0 && errno == EINTR);
    if (received < 0) return -errno;
    take_descriptors(&message, packet);
    packet->count = (size_t)received;
    packet->end = received == 0;
    packet->bytes_truncated = message.msg_flags & MSG_TRUNC;
    packet->descriptors_truncated = message.msg_flags & MSG_CTRUNC;
    return 0;
}

int clinux_epoll(void) { return (int)result(epoll_create1(EPOLL_CLOEXEC)); }

static int epoll_control(int epoll, int operation, int descriptor, int interest, uint64_t token) {
    struct epoll_event event = {.data.u64 = token};
    if (interest & CLINUX_READABLE) event.events |= EPOLLIN;
    if (interest & CLINUX_WRITABLE) event.events |= EPOLLOUT;
    return (int)result(epoll_ctl(epoll, operation, descriptor, &event));
}

int clinux_epoll_add(int epoll, int descriptor, int interest, uint64_t token) {
    return epoll_control(epoll, EPOLL_CTL_ADD, descriptor, interest, token);
}

int clinux_epoll_change(int epoll, int descriptor, int interest, uint64_t token) {
    return epoll_control(epoll, EPOLL_CTL_MOD, descriptor, interest, token);
}

int clinux_epoll_remove(int epoll, int descriptor) {
    return epoll_control(epoll, EPOLL_CTL_DEL, descriptor, 0, 0);
}

int clinux_epoll_wait(int epoll, struct clinux_ready *ready, int milliseconds) {
    struct epoll_event events[CLINUX_EPOLL_BATCH];
    int count = epoll_wait(epoll, events, CLINUX_EPOLL_BATCH, milliseconds);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int index = 0; index < count; index++) {
        uint32_t reported = events[index].events;
        ready[index].token = events[index].data.u64;
        ready[index].is = (reported & EPOLLIN ? CLINUX_READABLE : 0) | (reported & EPOLLOUT ? CLINUX_WRITABLE : 0)
            | (reported & (EPOLLHUP | EPOLLERR) ? CLINUX_HUNG_UP : 0);
    }
    return count;
}

int clinux_event_descriptor(void) { return (int)result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
int clinux_event_raise(int event) { return (int)result(eventfd_write(event, 1)); }

int clinux_event_clear(int event) {
    eventfd_t count;
    return (int)result(eventfd_read(event, &count));
}

// Declared here since the headers of Linux 6.1 lack the later fields; the kernel takes a shorter structure.
struct ruleset {
    uint64_t handled_access;
    uint64_t handled_network;
    uint64_t scoped;
};

struct path_rule {
    uint64_t access;
    int32_t path;
} __attribute__((packed));

int clinux_landlock_abi(void) { return (int)result(syscall(SYS_landlock_create_ruleset, NULL, 0, 1)); }

int clinux_landlock_create(uint64_t handled_access, uint64_t handled_network, uint64_t scoped) {
    struct ruleset rules = {handled_access, handled_network, scoped};
    size_t size = scoped ? 24 : handled_network ? 16 : 8;
    return (int)result(syscall(SYS_landlock_create_ruleset, &rules, size, 0));
}

int clinux_landlock_allow(int ruleset, int path, uint64_t access) {
    struct path_rule rule = {access, path};
    return (int)result(syscall(SYS_landlock_add_rule, ruleset, 1, &rule, 0));
}

int clinux_landlock_restrict(int ruleset) {
    return (int)result(syscall(SYS_landlock_restrict_self, ruleset, 0));
}

int clinux_seccomp_install(const void *program, size_t instructions, unsigned long flags) {
    struct sock_fprog filter = {.len = (unsigned short)instructions, .filter = (struct sock_filter *)program};
    return (int)result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter));
}

int clinux_seccomp_knows_action(uint32_t action) {
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int clinux_notification_receive(int listener, struct clinux_notification *notification) {
    struct seccomp_notif found;
    memset(&found, 0, sizeof found);  // The kernel refuses a buffer that is not zero.
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &found) < 0) return -errno;
    notification->id = found.id;
    notification->pid = found.pid;
    notification->number = found.data.nr;
    notification->arch = found.data.arch;
    for (int index = 0; index < 6; index++) notification->arguments[index] = found.data.args[index];
    return 0;
}

int clinux_notification_deny(int listener, uint64_t id, int error) {
    struct seccomp_notif_resp answer = {.id = id, .error = -error};
    return (int)result(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer));
}

int clinux_notification_continue(int listener, uint64_t id) {
    struct seccomp_notif_resp answer = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    return (int)result(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer));
}

int clinux_notification_is_live(int listener, uint64_t id) {
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int clinux_rendezvous(void) {
    long returned = syscall(CLINUX_RENDEZVOUS_SYSCALL);
    return returned < 0 && errno != ENOSYS ? -errno : 0;
}
