// Preloaded into a supervisor under test: sets its wall clock, and no other, by the seconds in WALL_CLOCK_PAGE, a shared
// page in a file. The machine's clock stays, and so does every clock that only counts.
//
// libfaketime is no choice for this: it moves the absolute times of timerfd_settime(2) whatever their clock is, so that
// a timer on CLOCK_BOOTTIME, which is what a Swift task sleeps by, comes a year too late.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset;

__attribute__((constructor)) static void open_page(void) {
    const char *path = getenv("WALL_CLOCK_PAGE");
    if (!path) return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED) offset = memory;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static bool is_wall(clockid_t clock) {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = REAL(clock_gettime);
    int result = real(clock, now);
    if (result == 0 && offset && is_wall(clock)) now->tv_sec += *offset;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static __typeof__(&gettimeofday) real;
    if (!real) real = REAL(gettimeofday);
    int result = real(now, zone);
    if (result == 0 && offset) now->tv_sec += *offset;
    return result;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

/// The machine's date of a slice of a wait that ends at a date of the clock that is shown, which may be set meanwhile.
static struct timespec slice(const struct timespec *end, bool *is_last) {
    struct timespec now, next = *end;
    clock_gettime(CLOCK_REALTIME, &now);
    *is_last = end->tv_sec <= now.tv_sec;
    if (!*is_last) next = (struct timespec){.tv_sec = now.tv_sec + 1};
    if (offset) next.tv_sec -= *offset;
    return next;
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict end) {
    for (bool is_last;;) {
        struct timespec next = slice(end, &is_last);
        int result = REAL(sem_timedwait)(semaphore, &next);
        if (result == 0 || errno != ETIMEDOUT || is_last) return result;
    }
}

// Nothing in a supervisor gives a condition another clock.
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict end) {
    for (bool is_last;;) {
        struct timespec next = slice(end, &is_last);
        int result = REAL(pthread_cond_timedwait)(condition, mutex, &next);
        if (result != ETIMEDOUT || is_last) return result;
    }
}

/// A timer until a date would have to be moved when the clock is set. The supervisor has none; one that it gets is not
/// shown a time that is not so.
int timerfd_create(clockid_t clock, int flags) {
    if (offset && is_wall(clock)) {
        fputs("a timer until a date on the wall clock, which a set clock would move\n", stderr);
        abort();
    }
    return REAL(timerfd_create)(clock, flags);
}
