#!/usr/bin/env python3
"""Runs a program on a host that lacks something: withhold.py namespaces,landlock PROGRAM [ARGUMENT...]

A seccomp filter answers as a kernel would that does not have it: EPERM to an unshare of namespaces, ENOSYS to
Landlock. What the program does with other calls is untouched, so that its own filters are seen to work.
"""
import ctypes
import os
import platform
import struct
import sys

X86 = platform.machine() == "x86_64"
UNSHARE = 272 if X86 else 97
LANDLOCK_CREATE_RULESET = 444
# CLONE_NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWNS, NEWTIME
NEW = 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000 | 0x80
LOAD, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, FIRST_ARGUMENT = 0, 16
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EPERM, ENOSYS = 1, 38
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def instructions(names):
    program = [(LOAD, 0, 0, NUMBER)]
    if "landlock" in names:
        program += [(JUMP_EQUAL, 0, 1, LANDLOCK_CREATE_RULESET), (RETURN, 0, 0, ERRNO | ENOSYS)]
    if "namespaces" in names:
        program += [
            (JUMP_EQUAL, 0, 3, UNSHARE), (LOAD, 0, 0, FIRST_ARGUMENT), (JUMP_SET, 0, 1, NEW),
            (RETURN, 0, 0, ERRNO | EPERM),
        ]
    return program + [(RETURN, 0, 0, ALLOW)]


def install(program):
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in program))
    head = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(head), 0, 0)]:
        if libc.prctl(call[0], *(ctypes.c_ulong(value) for value in call[1:])) != 0:
            sys.exit("withhold.py: " + os.strerror(ctypes.get_errno()))


names = sys.argv[1].split(",")
assert set(names) <= {"namespaces", "landlock"}, names
install(instructions(names))
os.execv(sys.argv[2], sys.argv[2:])
