#define _GNU_SOURCE

#include "clinux.h"
#include "result.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

const int clinux_open_path = O_PATH;

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
