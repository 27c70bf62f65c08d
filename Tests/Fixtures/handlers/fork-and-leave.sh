#!/bin/sh
# Leaves a child behind that keeps stdout, stderr and fd 3 open.
sh -c 'sleep 1000000; :' "left-behind-$BULKHEAD_TASK_ID" &
echo leaving
echo '{"result":"left"}' >&3
