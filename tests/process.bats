#!/usr/bin/env bats
# What the system sees of a running program.

load common

setup() {
    cd "$BATS_TEST_TMPDIR" || return
}

# main() begins anew with patient threads (lib/cli/main.c), which must not rename the process.
@test "top and killall see a program's own name" {
    mkfifo in
    env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY act-info - < in 3>&- &
    local pid=$!
    exec 9> in
    for ((i = 0; i < 100; i++)); do
        grep -qz GOMP_SPINCOUNT "/proc/$pid/environ" && break
        sleep 0.05
    done
    run cat "/proc/$pid/comm"
    kill "$pid"
    exec 9>&-
    [ "$output" = act-info ]
}
