#define _GNU_SOURCE

#include "clinux.h"
#include "result.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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
