// A file system for SQLite that fails on demand, for tests: it wraps the default one, counts what is done with
// the files below one folder, and at the chosen moment refuses, cuts short, or lets the power fail.

#ifndef FAULT_VFS_H
#define FAULT_VFS_H

#include <stdint.h>

/// What is counted, each apart.
typedef enum {
    fault_vfs_read = 0,
    fault_vfs_write = 1,
    fault_vfs_sync = 2,
    fault_vfs_truncate = 3,
} fault_vfs_operation;

/// What happens at the chosen moment.
typedef enum {
    /// Nothing.
    fault_vfs_none = 0,
    /// The disk is full, this once.
    fault_vfs_full = 1,
    /// The disk reports an error, this once.
    fault_vfs_error = 2,
    /// Half of a write reaches the file, then the disk reports an error, this once.
    fault_vfs_short = 3,
    /// The process is killed: what was written stays, and nothing is written any more.
    fault_vfs_kill = 4,
    /// The power fails: of what was not synced, each sector of 512 bytes stays or goes by chance.
    fault_vfs_power = 5,
} fault_vfs_action;

/// Makes it the default file system of this process; once.
int fault_vfs_install(void);

/// Counts from zero what is done with files whose path begins so, and plans one fault.
void fault_vfs_begin(const char *prefix, fault_vfs_operation operation, int64_t at, fault_vfs_action action,
                     uint64_t seed);

/// Leaves all files alone again.
void fault_vfs_end(void);

/// How often an operation was done since the beginning.
int64_t fault_vfs_count(fault_vfs_operation operation);

/// Whether the planned fault has happened.
int fault_vfs_happened(void);

#endif
