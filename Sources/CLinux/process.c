#define _GNU_SOURCE

#include "clinux.h"
#include "result.h"

#include <linux/capability.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const int clinux_limit_core = RLIMIT_CORE;
const int clinux_limit_cpu = RLIMIT_CPU;
const int clinux_limit_file_size = RLIMIT_FSIZE;
const int clinux_limit_open_files = RLIMIT_NOFILE;
const int clinux_limit_processes = RLIMIT_NPROC;

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

uint64_t clinux_own_max_rss(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) < 0 ? 0 : (uint64_t)usage.ru_maxrss * 1024;
}

void clinux_limit_malloc_arenas(int count) { mallopt(M_ARENA_MAX, count); }

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

static int signal_descriptor(const sigset_t *set) {
    if (sigprocmask(SIG_BLOCK, set, NULL) < 0) return -errno;
    return (int)result(signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int clinux_child_signal_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    return signal_descriptor(&set);
}

int clinux_end_signal_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGWINCH);
    return signal_descriptor(&set);
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
