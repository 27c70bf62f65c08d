#!/usr/bin/env python3
"""Writes one byte after the other, now to stdout, now to stderr."""

import os

for number in range(5_000):
    os.write(1 + number % 2, bytes([number // 2 % 251]))
