#pragma once

#include <errno.h>

/// What a call returned, as every function here gives it: the errno, negated, where it failed.
static inline long result(long returned) { return returned < 0 ? -errno : returned; }
