#define _GNU_SOURCE

#include "clinux.h"
#include "result.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

const int clinux_new_mounts = CLONE_NEWNS;
const int clinux_new_ipc = CLONE_NEWIPC;
const int clinux_new_user = CLONE_NEWUSER;
const int clinux_new_processes = CLONE_NEWPID;
const int clinux_new_network = CLONE_NEWNET;

int clinux_unshare(int flags) { return (int)result(unshare(flags)); }

int clinux_setns(int descriptor, int kind) { return (int)result(setns(descriptor, kind)); }

// Every argument but the flags is null, so that their order, which differs between machines, does not matter.
pid_t clinux_fork_sibling(void) {
    return (pid_t)result(syscall(SYS_clone, (unsigned long)(CLONE_PARENT | SIGCHLD), 0ul, 0ul, 0ul, 0ul));
}

void clinux_set_name(const char *name) { prctl(PR_SET_NAME, name, 0ul, 0ul, 0ul); }

void clinux_reap_forever(void) {
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    // Blocked, it stays pending from the moment of a child's end: none is missed between a look and the wait.
    sigprocmask(SIG_BLOCK, &children, NULL);
    for (;;) {
        int status;
        while (waitpid(-1, &status, WNOHANG | __WALL) > 0) {}
        sigwaitinfo(&children, NULL);
    }
}

void clinux_set_file_ids(uid_t uid, gid_t gid) {
    // Neither call tells an error: whoever opens with the wrong ids hears it from the file's permissions.
    syscall(SYS_setfsgid, gid);
    syscall(SYS_setfsuid, uid);
}

int clinux_make_mounts_private(void) { return (int)result(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)); }

int clinux_copy_mounts(int descriptor) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH;
    return (int)result(syscall(SYS_open_tree, descriptor, "", flags));
}

int clinux_copy_mount(const char *path) {
    return (int)result(syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
}

int clinux_restrict_mounts(int folder, const char *path, uint64_t attributes, bool below) {
    struct mount_attr change = {.attr_set = attributes};
    unsigned flags = AT_EMPTY_PATH | (below ? AT_RECURSIVE : 0);
    return (int)result(syscall(SYS_mount_setattr, folder, path, flags, &change, sizeof change));
}

int clinux_new_file_system(const char *type, const char *const *options, uint64_t attributes) {
    int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    if (context < 0) return -errno;
    long done = 0;
    for (; done == 0 && options[0]; options += 2) {
        done = syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, options[0], options[1], 0);
    }
    if (done == 0) done = syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    if (done == 0) done = syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, (unsigned)attributes);
    int error = errno;
    close(context);
    return done < 0 ? -error : (int)done;
}

int clinux_attach_mount(int descriptor, const char *path) {
    return (int)result(syscall(SYS_move_mount, descriptor, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH));
}

int clinux_become_root(int descriptor) {
    if (fchdir(descriptor) < 0) return -errno;
    // Both names alike: the old root then lies over the new one, and is what is unmounted (pivot_root(2)).
    if (syscall(SYS_pivot_root, ".", ".") < 0) return -errno;
    if (umount2(".", MNT_DETACH) < 0) return -errno;
    return chdir("/") < 0 ? -errno : 0;
}
