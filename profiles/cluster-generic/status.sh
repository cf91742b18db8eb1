#!/bin/sh
# Tells of an SGE job whether it is running, a success or failed. Its record in the accounting
# appears some seconds after its end; a job deleted before it began gets none.
for wait in 0 5 10 15; do
    sleep "$wait"
    # only a scheduler that answers, and does not know the job, has ended it
    if qstat -j "$1" > /dev/null 2>&1 || ! qstat > /dev/null 2>&1; then
        echo running
        exit
    fi
    ended=$(qacct -j "$1" 2> /dev/null | awk '
        /^failed / || /^exit_status / { seen = 1; bad = bad || $2 != 0 }
        END { if (seen) print bad ? "failed" : "success" }')
    if [ -n "$ended" ]; then
        echo "$ended"
        exit
    fi
done
echo failed
