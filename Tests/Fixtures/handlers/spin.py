#!/usr/bin/env python3
"""Uses processor time in two processes, for ever."""

import os

os.fork()
while True:
    pass
