#!/usr/bin/env python3
"""Takes memory, piece by piece, and touches all of it."""

held = []
while len(held) < 1_024:
    held.append(bytearray(b"\1") * (1 << 20))
