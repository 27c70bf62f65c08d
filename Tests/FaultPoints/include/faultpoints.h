#ifndef BULKHEAD_FAULTPOINTS_H
#define BULKHEAD_FAULTPOINTS_H

#include <stdint.h>

/// What is counted in a supervisor, each kind by itself and across all threads.
enum fault_kind {
    FAULT_WRITE,   ///< a write to a regular file
    FAULT_SYNC,    ///< fsync or fdatasync
    FAULT_NAME,    ///< a name that is renamed or removed, a file that is cut
    FAULT_SPAWN,   ///< fork and exec of a launcher, which posix_spawn does in one
    FAULT_SEND,    ///< a message to a launcher
    FAULT_RECEIVE, ///< a message from a launcher
    FAULT_MEMORY,  ///< memory that is asked for
    FAULT_KINDS
};

/// What is done at the point that was asked for.
enum fault_action {
    FAULT_NOTHING, ///< only count
    FAULT_KILL,    ///< the process is killed
    FAULT_WAIT,    ///< it says that it is there and waits to be let on
    FAULT_REFUSE   ///< the call fails; for memory alone
};

/// The page that a supervisor under test shares with the test, in a file, so that counts outlive a kill.
struct fault_page {
    int32_t kind;
    int32_t action;
    uint64_t number;  ///< from 1
    int32_t after;    ///< whether the call is done first
    int32_t state;    ///< 0, then 1 when the point was reached, then 2 when it may go on
    uint64_t counts[FAULT_KINDS];
};

#endif
