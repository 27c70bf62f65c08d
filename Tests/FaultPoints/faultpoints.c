// Preloaded into a supervisor under test: counts its writes, syncs, spawns, messages and pieces of memory over all
// threads, and ends it, or refuses, at the one that FAULT_POINTS_PAGE, a shared page in a file, names. See faultpoints.h.
#define _GNU_SOURCE
#include "faultpoints.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static struct fault_page *page;

__attribute__((constructor)) static void open_page(void) {
    const char *path = getenv("FAULT_POINTS_PAGE");
    if (!path) return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED) page = memory;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void strike(void) {
    if (page->action == FAULT_KILL) {
        __atomic_store_n(&page->state, 1, __ATOMIC_SEQ_CST);
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    if (page->action != FAULT_WAIT) return;
    __atomic_store_n(&page->state, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&page->state, __ATOMIC_SEQ_CST) == 1) usleep(1000);
}

/// Counts a call that is about to happen; whether it is to be struck once it is done.
static bool pass(enum fault_kind kind) {
    if (!page) return false;
    uint64_t number = __atomic_add_fetch(&page->counts[kind], 1, __ATOMIC_SEQ_CST);
    if ((int32_t)kind != page->kind || number != page->number) return false;
    if (page->after) return true;
    int saved = errno;
    strike();
    errno = saved;
    return false;
}

static void done(bool strikes) {
    if (!strikes) return;
    int saved = errno;
    strike();
    errno = saved;
}

static bool is_file(int descriptor) {
    int saved = errno;
    struct stat status;
    bool regular = page && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    errno = saved;
    return regular;
}

static bool is_launcher(int descriptor) {
    int saved = errno, type = 0;
    socklen_t size = sizeof type;
    bool packets = page && getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
    errno = saved;
    return packets;
}

#define COUNTED(kind, applies, type, name, parameters, arguments)                                                    \
    type name parameters {                                                                                           \
        bool strikes = (applies) && pass(kind);                                                                      \
        type result = REAL(name) arguments;                                                                          \
        done(strikes);                                                                                               \
        return result;                                                                                               \
    }

COUNTED(FAULT_WRITE, is_file(file), ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count))
COUNTED(FAULT_WRITE, is_file(file), ssize_t, pwrite, (int file, const void *bytes, size_t count, off_t offset),
        (file, bytes, count, offset))
COUNTED(FAULT_WRITE, is_file(file), ssize_t, pwrite64, (int file, const void *bytes, size_t count, off64_t offset),
        (file, bytes, count, offset))
COUNTED(FAULT_WRITE, is_file(file), ssize_t, writev, (int file, const struct iovec *parts, int count),
        (file, parts, count))

COUNTED(FAULT_SYNC, true, int, fsync, (int file), (file))
COUNTED(FAULT_SYNC, true, int, fdatasync, (int file), (file))

COUNTED(FAULT_NAME, true, int, rename, (const char *from, const char *to), (from, to))
COUNTED(FAULT_NAME, true, int, renameat, (int folder, const char *from, int other, const char *to),
        (folder, from, other, to))
COUNTED(FAULT_NAME, true, int, unlink, (const char *path), (path))
COUNTED(FAULT_NAME, true, int, unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
COUNTED(FAULT_NAME, true, int, ftruncate, (int file, off_t length), (file, length))
COUNTED(FAULT_NAME, true, int, ftruncate64, (int file, off64_t length), (file, length))

COUNTED(FAULT_SPAWN, true, int, posix_spawn,
        (pid_t * child, const char *path, const posix_spawn_file_actions_t *actions,
         const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]),
        (child, path, actions, attributes, arguments, environment))

COUNTED(FAULT_SEND, is_launcher(socket), ssize_t, sendmsg, (int socket, const struct msghdr *message, int flags),
        (socket, message, flags))

/// Only what was received is a message, so this one is counted afterwards, and struck before anybody reads it.
ssize_t recvmsg(int socket, struct msghdr *message, int flags) {
    ssize_t received = REAL(recvmsg)(socket, message, flags);
    if (received > 0 && is_launcher(socket)) done(pass(FAULT_RECEIVE));
    return received;
}

/// Whether this piece of memory, once, is not to be had.
static bool is_refused(void) {
    if (!page) return false;
    uint64_t number = __atomic_add_fetch(&page->counts[FAULT_MEMORY], 1, __ATOMIC_RELAXED);
    if (page->kind != FAULT_MEMORY || page->action != FAULT_REFUSE || number != page->number) return false;
    __atomic_store_n(&page->state, 2, __ATOMIC_SEQ_CST);
    return true;
}

// The C library's own, by the names under which it keeps them for libraries like this one: dlsym(3) itself allocates.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static void *refuse(void) {
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size) { return is_refused() ? refuse() : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return is_refused() ? refuse() : __libc_calloc(count, size); }
void *realloc(void *memory, size_t size) { return is_refused() ? refuse() : __libc_realloc(memory, size); }
void *memalign(size_t alignment, size_t size) {
    return is_refused() ? refuse() : __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size) {
    if (is_refused()) return ENOMEM;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    if (!is_refused()) return REAL(mmap)(address, length, protection, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}
