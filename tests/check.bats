#!/usr/bin/env bats
# The checks themselves: each accepts a good tree and fails on what it is there to find.

load common

setup() {
    CHECK=$TESTS/check
    ROOT=$BATS_TEST_TMPDIR/tree
    mkdir -p "$ROOT"/lib/{base,num,act,gpt,interp,bridge,cli} "$ROOT/tools/common" "$ROOT/tests/unit"
    cp "$TESTS/../.clang-format" "$TESTS/../Makefile" "$TESTS/../VERSION" "$ROOT"
    put lib/base/a.h '/* a.h */' '#ifndef A_H' '#define A_H' 'int a(void);' '#endif'
    put lib/base/a.c '#include "base/a.h"' '' '#include <zlib.h>' '' 'int a(void)' '{' '    return 0;' '}'
    put tools/tool.c '#include "base/a.h"' '' 'int main(void)' '{' '    return a();' '}'
}

# put FILE LINE...: writes a file of the tree.
put() {
    local file=$ROOT/$1
    shift
    printf '%s\n' "$@" >"$file"
}

accepts() {
    run "$CHECK/$1" "$ROOT"
    expect 0
    [ -z "$output" ]
}

@test "includes: accepts downward includes" {
    put lib/gpt/b.c '#include "gpt/b.h"' '#include "num/x.h"' '#include "base/a.h"' '#include <stdio.h>'
    put lib/bridge/b.c '#include "act/x.h"' '#include "gpt/x.h"'
    put tools/common/c.c '#include "c.h"' '#include "common/d.h"' '#include "bridge/x.h"'
    put tools/two.c '#include "common/c.h"' '#include "cli/tool.h"'
    put tests/unit/t.c '#include "test.h"' '#include "act/x.h"'
    put lib/base/c.c '/* #include "gpt/x.h" */'
    accepts includes
}

@test "includes: every upward or sideways include of a layer is an error" {
    local from to allowed
    for from in base num act gpt interp bridge cli; do
        case $from in
            base) allowed=' base ' ;;
            num) allowed=' num base ' ;;
            act) allowed=' act num base ' ;;
            gpt) allowed=' gpt num base ' ;;
            interp) allowed=' interp gpt num base ' ;;
            bridge) allowed=' bridge act gpt num base ' ;;
            cli) allowed=' cli base ' ;;
        esac
        for to in base num act gpt interp bridge cli; do
            put "lib/$from/probe.c" "#include \"$to/x.h\""
            run "$CHECK/includes" "$ROOT"
            if [[ $allowed == *" $to "* ]]; then
                expect 0
            else
                expect 1 "lib/$from/probe.c:1: lib/$from must not include $to"
            fi
            rm "$ROOT/lib/$from/probe.c"
        done
    done
}

@test "includes: other forbidden forms" {
    put tools/two.c '#include "tool.h"'
    run "$CHECK/includes" "$ROOT"
    expect 1 'tools/two.c:1: a tool includes headers of lib and tools/common only'
    put tools/two.c '#include "tool.c"'
    run "$CHECK/includes" "$ROOT"
    expect 1 'includes a source file'
    put tools/two.c '' '#include <gpt/x.h>'
    run "$CHECK/includes" "$ROOT"
    expect 1 'tools/two.c:2: <gpt/x.h>'
    rm "$ROOT/tools/two.c"
    put lib/num/x.c '#  include "../gpt/x.h"'
    run "$CHECK/includes" "$ROOT"
    expect 1 'name a header by its layer'
    rm "$ROOT/lib/num/x.c"
    mkdir "$ROOT/lib/misc"
    put lib/misc/x.c '#include "base/a.h"'
    run "$CHECK/includes" "$ROOT"
    expect 1 'lib/misc is no layer'
}

@test "headers-alone: a header without its includes or its guard" {
    accepts headers-alone
    put lib/num/n.h '#ifndef N_H' '#define N_H' 'size_t n(void);' '#endif'
    run "$CHECK/headers-alone" "$ROOT"
    expect 1 'lib/num/n.h: does not compile alone with gcc'
    expect 1 'lib/num/n.h: does not compile alone with clang'
    put lib/num/n.h 'struct n { int i; };'
    run "$CHECK/headers-alone" "$ROOT"
    expect 1 'lib/num/n.h: does not compile alone'
}

@test "third-party-once: a second .c, or a header" {
    put lib/num/n.c '#include <stdio.h>' '#include <sys/mman.h>' '/* #include <zlib.h> */'
    accepts third-party-once
    put lib/num/n.c '#include <zlib.h>'
    run "$CHECK/third-party-once" "$ROOT"
    expect 1 'lib/num/n.c:1: <zlib.h> is included by lib/base/a.c already'
    put lib/num/n.c '#include <brandnew.h>'
    accepts third-party-once
    put lib/num/n.h '#include <brandnew.h>'
    run "$CHECK/third-party-once" "$ROOT"
    expect 1 'lib/num/n.h:1: <brandnew.h> in a header'
}

@test "sizes: files and functions that are too long" {
    accepts sizes
    yes 'int x;' | head -n 451 >"$ROOT/lib/num/n.c"
    run "$CHECK/sizes" "$ROOT"
    expect 1 'lib/num/n.c: 451 lines, the limit is 450'
    yes 'int x;' | head -n 276 >"$ROOT/tools/two.c"
    run "$CHECK/sizes" "$ROOT"
    expect 1 'tools/two.c: 276 lines, the limit is 275'
    { echo 'int f(void)' && echo '{' && yes '    g();' | head -n 67 && echo '}'; } >"$ROOT/lib/num/n.c"
    run "$CHECK/sizes" "$ROOT"
    expect 1 'lib/num/n.c:2: a function of 67 lines'
}

@test "banned: unsafe calls, memory behind base/mem.h, a loud library" {
    put lib/num/n.c 'int n; /* strcpy(a, b) */' 'const char *s = "exit(1)";' 'int my_system(int);'
    put tools/two.c 'void f(void) { printf("hello"); exit(0); }'
    accepts banned
    local call
    for call in 'strcpy(a, b)' 'sprintf (a, b)' 'atoi(s)' 'malloc(3)' 'printf("x")' 'exit(1)'; do
        put lib/num/n.c "void f(void) { $call; }"
        run "$CHECK/banned" "$ROOT"
        expect 1 'lib/num/n.c:1:'
    done
    put lib/num/n.c "/* TO""DO */"
    run "$CHECK/banned" "$ROOT"
    expect 1 'issue tracker'
}

@test "format: a badly indented file" {
    accepts format
    put lib/num/n.c 'int  n ;'
    run "$CHECK/format" "$ROOT"
    [ "$status" -ne 0 ]
    [[ $output == *lib/num/n.c:1* ]]
}

@test "shell: a script, and a bats file, with a mistake" {
    accepts shell
    put run '#!/bin/sh' 'rm $1'
    run "$CHECK/shell" "$ROOT"
    expect 1 'SC2086'
    rm "$ROOT/run"
    put tests/t.bats '@test "x" {' '    rm $output' '}'
    run "$CHECK/shell" "$ROOT"
    expect 1 'SC2086'
}

@test "clang: a warning that only clang gives" {
    sed -i /zlib/,+1d "$ROOT/lib/base/a.c" # not every machine's clang needs to find it
    accepts clang
    put lib/num/n.c '#include "base/a.h"' 'int (*const n)(void) = a;' 'int m(int x);' \
        'int m(int x)' '{' '    return x = x;' '}'
    run "$CHECK/clang" "$ROOT"
    [ "$status" -ne 0 ]
    [[ $output == *lib/num/n.c:6*self-assign* ]]
}

@test "tree-clean: files that a command leaves, changes or removes" {
    git init -q "$ROOT"
    cd "$ROOT"
    git add -A && git -c user.name=t -c user.email=t@example.org commit -qm x
    echo mine >own # the developer's own file from before
    run "$CHECK/tree-clean" . true
    expect 0
    run "$CHECK/tree-clean" . touch left
    expect 1 'left'
    run "$CHECK/tree-clean" . rm left VERSION
    expect 1 'VERSION'
    run "$CHECK/tree-clean" . sh -c 'echo >>Makefile'
    expect 1 'Makefile'
    run "$CHECK/tree-clean" . sh -c 'exit 5'
    expect 5
}

@test "lint: runs every check and fails when one does" {
    local check
    sed -i /zlib/,+1d "$ROOT/lib/base/a.c"
    run "$CHECK/lint" "$ROOT"
    expect 0
    for check in "$CHECK"/*; do
        case $check in
            */lint | */tree-clean | *.awk) ;;
            *) expect 0 "ok ${check##*/}" ;;
        esac
    done
    put lib/num/n.h 'size_t n;'
    run "$CHECK/lint" "$ROOT"
    expect 1 'not ok headers-alone'
}

# A copy of the runner over programs made here: what it counts and when it fails.
runner() {
    mkdir -p "$ROOT/tests/check" "$ROOT/build/unit" "$ROOT/build/fuzz"
    cp "$TESTS/run" "$ROOT/tests/run"
    cp "$CHECK/tree-clean" "$ROOT/tests/check"
    # A bats inside bats must not see the outer one's variables and PATH.
    run env -i PATH=/usr/local/bin:/usr/bin:/bin "$ROOT/tests/run" --bin "$ROOT/bin" --build "$ROOT/build" "$@"
}

program() {
    mkdir -p "$ROOT/tests/${1%/*}" "$ROOT/build/${1%/*}"
    touch "$ROOT/tests/$1.c"
    printf '#!/bin/sh\n%s\n' "$2" >"$ROOT/build/$1"
    chmod +x "$ROOT/build/$1"
}

@test "run: counts passed, failed, skipped and crashed" {
    program unit/good 'echo "ok 1 - a"; echo "ok 2 - b # skip no data"; echo 1..2'
    program fuzz/quiet 'true'
    runner
    expect 0
    [ "${lines[-1]}" = "3 passed, 0 failed, 1 skipped" ] # a, quiet, tree-clean
    program unit/bad 'echo "ok 1 - a"; echo "not ok 2 - b"; echo "# because"; echo 1..2; exit 1'
    runner
    expect 1 'not ok 2 - b'
    expect 1 '# because'
    [ "${lines[-1]}" = "4 passed, 1 failed, 1 skipped" ]
    program unit/bad 'echo "ok 1 - a"; kill -SEGV $$'
    runner
    expect 1 'unit/bad: ended with status 139'
    [ "${lines[-1]}" = "4 passed, 1 failed, 1 skipped" ]
    program unit/bad 'echo 1..3; echo "ok 1 - a"'
    runner
    expect 1 'planned 3 tests and ran 1'
}

@test "run: bats files, slow ones not with --fast; nothing to run is a failure" {
    runner
    [ "$status" -ne 0 ]
    put tests/a.bats '@test "one" { true; }'
    put tests/b.slow.bats '@test "two" { false; }'
    runner --fast
    expect 0
    [ "${lines[-1]}" = "2 passed, 0 failed" ]
    runner
    expect 1 'not ok 1 two'
    [ "${lines[-1]}" = "2 passed, 1 failed" ]
}

@test "run: leftovers of removed tests do not run; BIN comes first in PATH" {
    program unit/gone 'exit 1'
    rm "$ROOT/tests/unit/gone.c"
    program unit/path 'case $PATH in "$BIN":*) exit 0 ;; esac; exit 1'
    runner
    expect 0
    [ "${lines[-1]}" = "2 passed, 0 failed" ]
}
