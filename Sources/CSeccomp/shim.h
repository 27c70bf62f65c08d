#ifndef CSECCOMP_SHIM_H
#define CSECCOMP_SHIM_H

#include <seccomp.h>
#include <stdint.h>

/* The library's actions are macros with arguments and casts, which do not reach Swift. */
static const uint32_t CSECCOMP_ACTION_ALLOW = SCMP_ACT_ALLOW;
static const uint32_t CSECCOMP_ACTION_NOTIFY = SCMP_ACT_NOTIFY;
static const uint32_t CSECCOMP_ACTION_KILL_PROCESS = SCMP_ACT_KILL_PROCESS;

static inline uint32_t cseccomp_action_errno(uint16_t number) { return SCMP_ACT_ERRNO(number); }

#endif
