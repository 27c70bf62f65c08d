#!/bin/sh
# Says that it is there, and sleeps for ever.
echo waiting
exec sleep 1000000
