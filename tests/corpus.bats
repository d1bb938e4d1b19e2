#!/usr/bin/env bats
# make corpus: the text of bible-kjv without the verses' labels.
load common

corpus() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL PATH="$BATS_TEST_TMPDIR/bin:$PATH" \
        make -f "$TESTS/../pipelines/corpus.mk" CORPUS="$BATS_TEST_TMPDIR/out" "$@"
}

# A `bible` that prints $1 verses.
fake_bible() {
    mkdir "$BATS_TEST_TMPDIR/bin"
    printf '#!/bin/sh\nseq %s | sed "s/.*/1Ki&:1 And & Amen. /"\n' "$1" >"$BATS_TEST_TMPDIR/bin/bible"
    chmod +x "$BATS_TEST_TMPDIR/bin/bible"
}

@test "labels and blanks at the end are left out; another text is said to be one" {
    fake_bible 31102
    run corpus
    expect 0 "another text than the shipped models'"
    [ "$(sed -n '1p;$p' "$BATS_TEST_TMPDIR/out/kjv.txt")" = $'And 1 Amen.\nAnd 31102 Amen.' ]
    run corpus
    expect 0 "Nothing to be done"
}

@test "half a text is an error" {
    fake_bible 30000
    run corpus
    expect 2 "30000 verses, not 31102"
    [ ! -e "$BATS_TEST_TMPDIR/out/kjv.txt" ]
}

@test "without the program, the package is named" {
    mkdir "$BATS_TEST_TMPDIR/bin"
    local tool
    for tool in bash dirname mkdir; do
        ln -s "$(command -v $tool)" "$BATS_TEST_TMPDIR/bin/$tool"
    done
    run "$(command -v make)" -f "$TESTS/../pipelines/corpus.mk" CORPUS="$BATS_TEST_TMPDIR/out" \
        PATH="$BATS_TEST_TMPDIR/bin"
    expect 2 "install the package bible-kjv"
}

@test "the real text" {
    command -v bible >/dev/null || skip "bible-kjv is not installed"
    run corpus
    expect 0 "31102 verses"
    [ "$(head -n 1 "$BATS_TEST_TMPDIR/out/kjv.txt")" = 'In the beginning God created the heaven and the earth.' ]
    [ "$(tail -n 1 "$BATS_TEST_TMPDIR/out/kjv.txt")" = 'The grace of our Lord Jesus Christ be with you all. Amen.' ]
}
