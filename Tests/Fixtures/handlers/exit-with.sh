#!/bin/sh
# Exits with the code that its params are.
read -r input
code=${input##*'"params":'}
exit "${code%%[!0-9]*}"
