#include "fault_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { sector = 512, path_bytes = 4096 };

/// A write that no sync has followed yet, with what was there before.
typedef struct unsynced {
    struct unsynced *next;
    sqlite3_int64 offset;
    int length;
    unsigned char before[];
} unsynced;

typedef struct file {
    sqlite3_file base;
    struct file *next;
    unsynced *writes;
    sqlite3_file *real;
} file;

static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static file *open_files;
static struct {
    char prefix[path_bytes];
    fault_vfs_operation operation;
    int64_t at;
    fault_vfs_action action;
    uint64_t random;
    int64_t counts[4];
    int happened;
    int dead;
} plan;

static uint64_t next_random(void) {
    uint64_t mixed = plan.random += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

static void forget_writes(file *f) {
    while (f->writes) {
        unsynced *write = f->writes;
        f->writes = write->next;
        free(write);
    }
}

/// Undoes, sector by sector and by chance, what no sync has followed; the latest write first.
static void lose_power(void) {
    for (file *f = open_files; f; f = f->next) {
        for (unsynced *write = f->writes; write; write = write->next) {
            for (int at = 0; at < write->length; at += sector) {
                int length = write->length - at < sector ? write->length - at : sector;
                if (next_random() & 1) continue;
                f->real->pMethods->xWrite(f->real, write->before + at, length, write->offset + at);
            }
        }
        forget_writes(f);
    }
}

/// Counts an operation; what is to happen at it, fault_vfs_kill where everything is over already.
static fault_vfs_action count(fault_vfs_operation operation) {
    if (plan.dead) return operation == fault_vfs_read ? fault_vfs_none : fault_vfs_kill;
    int64_t number = ++plan.counts[operation];
    if (plan.happened || plan.action == fault_vfs_none || operation != plan.operation || number != plan.at)
        return fault_vfs_none;
    plan.happened = 1;
    if (plan.action == fault_vfs_power) lose_power();
    if (plan.action == fault_vfs_power || plan.action == fault_vfs_kill) {
        plan.dead = 1;
        return fault_vfs_kill;
    }
    return plan.action;
}

static int failure(fault_vfs_action action, int error) { return action == fault_vfs_full ? SQLITE_FULL : error; }

static int file_close(sqlite3_file *base) {
    file *f = (file *)base;
    pthread_mutex_lock(&mutex);
    for (file **link = &open_files; *link; link = &(*link)->next) {
        if (*link != f) continue;
        *link = f->next;
        break;
    }
    forget_writes(f);
    pthread_mutex_unlock(&mutex);
    return f->real->pMethods->xClose(f->real);
}

static int file_read(sqlite3_file *base, void *bytes, int length, sqlite3_int64 offset) {
    file *f = (file *)base;
    pthread_mutex_lock(&mutex);
    fault_vfs_action action = count(fault_vfs_read);
    pthread_mutex_unlock(&mutex);
    if (action != fault_vfs_none) return SQLITE_IOERR_READ;
    return f->real->pMethods->xRead(f->real, bytes, length, offset);
}

static void remember(file *f, int length, sqlite3_int64 offset) {
    unsynced *write = calloc(1, sizeof *write + (size_t)length);
    if (!write) abort();
    write->offset = offset;
    write->length = length;
    // A short read fills up with zeros, which is what a lost piece of a growing file holds.
    f->real->pMethods->xRead(f->real, write->before, length, offset);
    write->next = f->writes;
    f->writes = write;
}

static int file_write(sqlite3_file *base, const void *bytes, int length, sqlite3_int64 offset) {
    file *f = (file *)base;
    pthread_mutex_lock(&mutex);
    fault_vfs_action action = count(fault_vfs_write);
    int result;
    if (action == fault_vfs_none) {
        if (plan.action == fault_vfs_power) remember(f, length, offset);
        result = f->real->pMethods->xWrite(f->real, bytes, length, offset);
    } else {
        if (action == fault_vfs_short) f->real->pMethods->xWrite(f->real, bytes, length / 2, offset);
        result = failure(action, SQLITE_IOERR_WRITE);
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size) {
    file *f = (file *)base;
    pthread_mutex_lock(&mutex);
    fault_vfs_action action = count(fault_vfs_truncate);
    pthread_mutex_unlock(&mutex);
    if (action != fault_vfs_none) return failure(action, SQLITE_IOERR_TRUNCATE);
    return f->real->pMethods->xTruncate(f->real, size);
}

static int file_sync(sqlite3_file *base, int flags) {
    file *f = (file *)base;
    pthread_mutex_lock(&mutex);
    fault_vfs_action action = count(fault_vfs_sync);
    // Nothing is really lost in a test, so the disk's own sync, which takes long, is left out.
    if (action == fault_vfs_none) forget_writes(f);
    pthread_mutex_unlock(&mutex);
    (void)flags;
    return action == fault_vfs_none ? SQLITE_OK : failure(action, SQLITE_IOERR_FSYNC);
}

#define REAL(base) (((file *)(base))->real)
#define FORWARD(base, method, ...) REAL(base)->pMethods->method(REAL(base), ##__VA_ARGS__)

static int file_size(sqlite3_file *b, sqlite3_int64 *size) { return FORWARD(b, xFileSize, size); }
static int file_lock(sqlite3_file *b, int level) { return FORWARD(b, xLock, level); }
static int file_unlock(sqlite3_file *b, int level) { return FORWARD(b, xUnlock, level); }
static int file_reserved(sqlite3_file *b, int *answer) { return FORWARD(b, xCheckReservedLock, answer); }
static int file_control(sqlite3_file *b, int code, void *argument) {
    return FORWARD(b, xFileControl, code, argument);
}
static int file_sector(sqlite3_file *b) { return FORWARD(b, xSectorSize); }
static int file_device(sqlite3_file *b) { return FORWARD(b, xDeviceCharacteristics); }
static int file_shm_map(sqlite3_file *b, int region, int size, int extend, void volatile **memory) {
    return FORWARD(b, xShmMap, region, size, extend, memory);
}
static int file_shm_lock(sqlite3_file *b, int offset, int n, int flags) {
    return FORWARD(b, xShmLock, offset, n, flags);
}
static void file_shm_barrier(sqlite3_file *b) { FORWARD(b, xShmBarrier); }
static int file_shm_unmap(sqlite3_file *b, int delete) { return FORWARD(b, xShmUnmap, delete); }
static int file_fetch(sqlite3_file *b, sqlite3_int64 offset, int length, void **page) {
    return FORWARD(b, xFetch, offset, length, page);
}
static int file_unfetch(sqlite3_file *b, sqlite3_int64 offset, void *page) {
    return FORWARD(b, xUnfetch, offset, page);
}

static const sqlite3_io_methods methods = {
    3,           file_close,   file_read,    file_write,       file_truncate,  file_sync,  file_size,
    file_lock,   file_unlock,  file_reserved, file_control,    file_sector,    file_device, file_shm_map,
    file_shm_lock, file_shm_barrier, file_shm_unmap, file_fetch, file_unfetch,
};

static int is_watched(const char *name) {
    return name && plan.prefix[0] && strncmp(name, plan.prefix, strlen(plan.prefix)) == 0;
}

static int vfs_open(sqlite3_vfs *self, const char *name, sqlite3_file *base, int flags, int *out) {
    (void)self;
    pthread_mutex_lock(&mutex);
    int watched = is_watched(name);
    pthread_mutex_unlock(&mutex);
    if (!watched) return real_vfs->xOpen(real_vfs, name, base, flags, out);
    file *f = (file *)base;
    memset(f, 0, sizeof *f);
    f->real = (sqlite3_file *)(f + 1);
    int result = real_vfs->xOpen(real_vfs, name, f->real, flags, out);
    if (!f->real->pMethods) return result;
    f->base.pMethods = &methods;
    pthread_mutex_lock(&mutex);
    f->next = open_files;
    open_files = f;
    pthread_mutex_unlock(&mutex);
    return result;
}

static int vfs_delete(sqlite3_vfs *self, const char *name, int sync_folder) {
    (void)self;
    pthread_mutex_lock(&mutex);
    int dead = plan.dead && is_watched(name);
    pthread_mutex_unlock(&mutex);
    return dead ? SQLITE_IOERR_DELETE : real_vfs->xDelete(real_vfs, name, sync_folder);
}

int fault_vfs_install(void) {
    if (real_vfs) return SQLITE_OK;
    real_vfs = sqlite3_vfs_find(0);
    if (!real_vfs) return SQLITE_ERROR;
    vfs = *real_vfs;
    vfs.zName = "fault";
    vfs.szOsFile = (int)sizeof(file) + real_vfs->szOsFile;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    return sqlite3_vfs_register(&vfs, 1);
}

void fault_vfs_begin(const char *prefix, fault_vfs_operation operation, int64_t at, fault_vfs_action action,
                     uint64_t seed) {
    pthread_mutex_lock(&mutex);
    memset(&plan, 0, sizeof plan);
    strncpy(plan.prefix, prefix, sizeof plan.prefix - 1);
    plan.operation = operation;
    plan.at = at;
    plan.action = action;
    plan.random = seed;
    pthread_mutex_unlock(&mutex);
}

void fault_vfs_end(void) {
    pthread_mutex_lock(&mutex);
    plan.prefix[0] = 0;
    plan.action = fault_vfs_none;
    pthread_mutex_unlock(&mutex);
}

int64_t fault_vfs_count(fault_vfs_operation operation) {
    pthread_mutex_lock(&mutex);
    int64_t number = plan.counts[operation];
    pthread_mutex_unlock(&mutex);
    return number;
}

int fault_vfs_happened(void) {
    pthread_mutex_lock(&mutex);
    int happened = plan.happened;
    pthread_mutex_unlock(&mutex);
    return happened;
}
