#!/usr/bin/env python3
"""Forks until it is refused, and tells how many children it got."""

import os
import sys
import time

count = 0
try:
    while count < 500:
        if os.fork() == 0:
            time.sleep(1_000)
            os._exit(0)
        count += 1
except OSError as error:
    print(f"{count} children, then {error.strerror}")
    sys.exit(0)
print(f"{count} children")
