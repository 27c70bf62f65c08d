#!/bin/sh
# Stops itself, as a debugger would.
echo stopping
kill -STOP $$
echo gone on
