#!/usr/bin/env python3
"""Leaves processes behind that nothing connects with it any more: other sessions, other parents, nothing open."""

import os
import time

MARK = "survivor-" + os.environ["BULKHEAD_TASK_ID"]


def survive():
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 64)
    os.execv("/bin/sh", ["sh", "-c", "trap '' TERM HUP; while :; do sleep 0.1; done", MARK])


for _ in range(3):
    if os.fork() == 0:
        survive()
for _ in range(3):
    os.wait()
# They have their own program by now, or will have at once: what counts is what is left afterwards.
time.sleep(0.2)
