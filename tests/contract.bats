#!/usr/bin/env bats
# What every tool must do, over all of bin/: a new tool is covered without a change here, unless it
# needs options or operands to run at all (minimal).

load common

# Every hook point of a small model, for all that read streams.
setup_file() {
    export MODEL=$BATS_TEST_DIRNAME/fixtures/forward/nano
    export STREAM=$BATS_FILE_TMPDIR/stream.act
    unset ACTUTILS_MODEL
    gpt-run -m "$MODEL" -p "to be, or not" -s "*,logits" >"$STREAM"
}

setup() {
    TOOLS=()
    local file
    for file in "$BIN"/*; do
        [ -f "$file" ] && [ -x "$file" ] && TOOLS+=("${file##*/}")
    done
    [ ${#TOOLS[@]} -gt 0 ]
    cd "$BATS_TEST_TMPDIR"
    bad=0
}

# Notes a tool's failure; the test goes on with the others and fails in its last line, `done_all`.
complain() {
    echo "$*" >&2
    bad=$((bad + 1))
}
done_all() {
    [ "$bad" -eq 0 ]
}

# call STATUS TOOL ARG...: runs it with stdin as it is; output in ./out and ./err. Complains about
# another exit status, and about an error message that does not begin with the tool's name.
call() {
    local want=$1 tool=$2 got=0
    shift 2
    "$BIN/$tool" "$@" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || complain "$tool $*: status $got, wanted $want; $(head -c 500 err)"
    if [ "$want" -ge 2 ] && [[ $(head -n 1 err) != "$tool: "* ]]; then
        complain "$tool $*: the message does not begin with '$tool: ': $(head -c 300 err)"
    fi
}

# The least that makes a tool work, into args=(), and the file that it gets as stdin, into input.
minimal() {
    args=() input=/dev/null
    if reads_stream "$1"; then
        input=$STREAM
    fi
    case $1 in
        gpt-run) args=(-m "$MODEL" -p "to be" -s "*,logits") ;;
        act-info) args=(--stats) ;; # without, it does not look at the values
        act-diff) args=(- "$STREAM") ;;
        act-patch) args=(-m "$MODEL" --clean "to be" --corrupted "to ne" -a e -w o) ;;
        lens) args=(-m "$MODEL") ;;
        gpt-train)
            args=(-o trained --resume --max-iters 2 --snapshots 2 --n-layer 1 --n-embd 8 --eval-iters 1)
            input=$TESTS/../share/prompts/shakespeare.txt
            ;;
    esac
}

# By the words of its description (docs/CONTRIBUTING.md).
reads_stream() {
    "$BIN/$1" --help | tr -s ' \n' '  ' | grep -q 'Reads a stream'
}

stream_readers() {
    local tool
    readers=()
    for tool in "${TOOLS[@]}"; do
        if reads_stream "$tool"; then
            readers+=("$tool")
        fi
    done
}

@test "--help: on stdout, exit 0, every option of the table, no line over 100 columns" {
    local tool name names
    for tool in "${TOOLS[@]}"; do
        call 0 "$tool" --help
        [ ! -s err ] || complain "$tool --help writes to stderr"
        [[ $(head -n 1 out) == "Usage: $tool "* ]] || complain "$tool: no usage line"
        grep -q '^Exit status' out || complain "$tool: exit statuses are not explained"
        ! grep -nE '.{101}' out || complain "$tool --help: a line over 100 columns"
        names=$(sed -nE "s/^ *\\{('.'|0), *\"([a-z0-9-]+)\".*/\\2/p" "$TESTS/../tools/$tool.c")
        for name in $names help version man no-history; do
            grep -qE "(^|[ ,])--$name([= ]|\$)" out || complain "$tool --help lacks --$name"
        done
        cp out long
        call 0 "$tool" -h
        cmp -s out long || complain "$tool -h differs from --help"
    done
    done_all
}

@test "--version: name and version on stdout" {
    local tool
    for tool in "${TOOLS[@]}"; do
        call 0 "$tool" --version
        [ "$(cat out)" = "$tool (actutils) $(cat "$TESTS/../VERSION")" ] || complain "$tool: $(cat out)"
    done
    done_all
}

@test "--man: roff without warnings, with every option" {
    local tool name
    command -v groff >/dev/null || skip "no groff"
    for tool in "${TOOLS[@]}"; do
        call 0 "$tool" --man
        groff -Kutf8 -man -ww -z out >warnings 2>&1 || complain "$tool: groff fails"
        [ ! -s warnings ] || complain "$tool --man: $(head -n 3 warnings)"
        groff -Kutf8 -man -Tutf8 out 2>/dev/null | sed 's/\x1b\[[0-9;]*m//g; s/.\x08//g' >page
        "$BIN/$tool" --help >help
        while read -r name; do
            grep -q -e "$name" page || complain "$tool: the manual page lacks $name"
        done < <(grep -oE '^ +(-., )?--[a-z-]+' help | grep -oE -- '--[a-z-]+')
        for name in NAME SYNOPSIS DESCRIPTION OPTIONS EXAMPLES 'EXIT STATUS'; do
            grep -q "^$name" page || complain "$tool: the manual page has no section $name"
        done
    done
    done_all
}

@test "an unknown option: exit 2, the tool's name on stderr, nothing on stdout" {
    local tool wrong
    for tool in "${TOOLS[@]}"; do
        for wrong in --no-such-option '-?' --help=yes; do
            call 2 "$tool" "$wrong" </dev/null
            [ ! -s out ] || complain "$tool $wrong: writes to stdout"
        done
    done
    done_all
}

@test "the minimal run of every tool: exit 0, silent on stderr" {
    local tool
    for tool in "${TOOLS[@]}"; do
        minimal "$tool"
        call 0 "$tool" "${args[@]}" <"$input"
        [ -s out ] || complain "$tool: no output"
        [ ! -s err ] || complain "$tool: says on stderr: $(head -c 300 err)"
    done
    done_all
}

@test "a full disk: exit 4 and a message" {
    local tool got what words
    [ -c /dev/full ] || skip "no /dev/full"
    for tool in "${TOOLS[@]}"; do
        minimal "$tool"
        for what in --help work; do
            [ "$what" = --help ] && words=(--help) || words=("${args[@]}")
            got=0
            "$BIN/$tool" "${words[@]}" <"$input" >/dev/full 2>err || got=$?
            [ "$got" -eq 4 ] || complain "$tool $what >/dev/full: status $got"
            [[ $(cat err) == "$tool: "* ]] || complain "$tool $what >/dev/full: message: $(cat err)"
        done
    done
    done_all
}

@test "a closed stdout: exit 4 and a message" {
    local tool got what words
    for tool in "${TOOLS[@]}"; do
        minimal "$tool"
        for what in --help work; do
            [ "$what" = --help ] && words=(--help) || words=("${args[@]}")
            got=0
            "$BIN/$tool" "${words[@]}" <"$input" >&- 2>err || got=$?
            [ "$got" -eq 4 ] || complain "$tool $what >&-: status $got"
            [[ $(cat err) == "$tool: "* ]] || complain "$tool $what >&-: message: $(cat err)"
        done
    done
    done_all
}

@test "the reader is gone: dies of SIGPIPE, silently, also when the parent ignores it" {
    local tool got parent
    for tool in "${TOOLS[@]}"; do
        minimal "$tool"
        for parent in '' "trap '' PIPE;"; do
            got=0
            # A pipe whose reading end is closed for sure before the tool starts.
            bash -c "$parent"'exec 7> >(:); wait $!; "$@" >&7' - "$BIN/$tool" "${args[@]}" \
                <"$input" 2>err || got=$?
            [ "$got" -eq 141 ] || complain "$tool: status $got; $(cat err)"
            [ ! -s err ] || complain "$tool: says $(cat err)"
        done
    done
    done_all
}

@test "-o: a file that cannot be made is exit 4; after an error nothing is left" {
    local tool n=0
    mkdir empty
    for tool in "${TOOLS[@]}"; do
        "$BIN/$tool" --help | grep -qE '^ +-o, --output' || continue
        n=$((n + 1))
        minimal "$tool"
        call 4 "$tool" "${args[@]}" -o "$PWD/no/such/folder/x" <"$input"
        grep -q no/such/folder err || complain "$tool: does not name the file: $(cat err)"
        call 4 "$tool" "${args[@]}" -o "$PWD/empty" <"$input"
        call 0 "$tool" "${args[@]}" <"$input"
        mv out stdout
        call 0 "$tool" "${args[@]}" --no-history -o "$PWD/file" <"$input"
        [ ! -s out ] || complain "$tool -o: writes to stdout too"
        [ -s file ] || complain "$tool -o: the file is empty"
        rm -f file
        if reads_stream "$tool"; then
            head -c 100 "$input" >cut.act
            call 3 "$tool" "${args[@]}" -o "$PWD/empty/x" <cut.act
        fi
        [ -z "$(ls -A empty)" ] || complain "$tool: left $(ls -A empty)"
    done
    [ "$n" -gt 0 ]
    done_all
}

@test "--no-history: the same bytes from run to run" {
    local tool
    for tool in "${TOOLS[@]}"; do
        minimal "$tool"
        "$BIN/$tool" "${args[@]}" --no-history <"$input" >first || true
        "$BIN/$tool" --no-history "${args[@]}" <"$input" >second || true
        cmp -s first second || complain "$tool: differs from run to run"
    done
    done_all
}

@test "binary output: refused on a terminal" {
    local tool got n=0
    command -v script >/dev/null || skip "no script(1)"
    for tool in "${TOOLS[@]}"; do
        minimal "$tool"
        "$BIN/$tool" "${args[@]}" <"$input" >out 2>/dev/null || true
        # NUL bytes: no text.
        [ "$(tr -d '\0' <out | wc -c)" -ne "$(wc -c <out)" ] || continue
        n=$((n + 1)) got=0
        script -qec "$(printf '%q ' "$BIN/$tool" "${args[@]}") <$(printf %q "$input")" /dev/null \
            </dev/null >screen 2>&1 || got=$?
        [ "$got" -eq 2 ] || complain "$tool to a terminal: status $got"
        grep -q "^$tool: .*terminal" screen || complain "$tool to a terminal: $(head -c 300 screen)"
    done
    [ "$n" -gt 0 ]
    done_all
}

@test "stream readers are recognised as such" {
    local tool
    stream_readers
    for tool in act-cache act-info act-diff attn-stats lens neuron-top; do
        [ ! -x "$BIN/$tool" ] || [[ " ${readers[*]} " == *" $tool "* ]] ||
            complain "$tool: 'Reads a stream' is missing in its description"
    done
    [ ${#readers[@]} -gt 0 ]
    done_all
}

@test "stream readers: empty input, text, and a cut anywhere are exit 3" {
    local tool size at
    stream_readers
    for tool in "${readers[@]}"; do
        minimal "$tool"
        call 3 "$tool" "${args[@]}" </dev/null
        grep -q 'empty' err || complain "$tool </dev/null: does not say that it is empty: $(cat err)"
        echo 'Not a stream at all, but a line of text.' >text
        call 3 "$tool" "${args[@]}" <text
        size=$(wc -c <"$input")
        for at in 1 8 $((size / 7)) $((size / 3)) $((size / 2)) $((size * 3 / 4)) $((size - 40)) \
            $((size - 1)); do
            head -c "$at" "$input" >cut.act
            call 3 "$tool" "${args[@]}" <cut.act
        done
    done
    done_all
}

@test "stream readers: bytes after the end, and two streams joined, are exit 3" {
    local tool
    stream_readers
    for tool in "${readers[@]}"; do
        minimal "$tool"
        { cat "$input" && printf x; } >longer
        call 3 "$tool" "${args[@]}" <longer
        cat "$input" "$input" >twice
        call 3 "$tool" "${args[@]}" <twice
        # The same on a pipe, where nothing can seek.
        call 3 "$tool" "${args[@]}" < <(cat longer)
        call 3 "$tool" "${args[@]}" < <(cat twice)
    done
    done_all
}

@test "stream readers: every bad golden stream is exit 3" {
    local tool stream before n=0
    stream_readers
    for tool in "${readers[@]}"; do
        minimal "$tool"
        for stream in "$TESTS"/golden/bad-*.act; do
            before=$bad
            call 3 "$tool" "${args[@]}" <"$stream"
            [ "$bad" -eq "$before" ] || echo "  (with ${stream##*/})" >&2
            n=$((n + 1))
        done
    done
    [ "$n" -gt 0 ]
    done_all
}

# Tools with -m MODEL: whatever is named there in place of a model is exit 3, and said. Each file
# format has its own unit tests (tests/unit/test-model*.c); here, that every tool shows the outcome.
reads_model() {
    "$BIN/$1" --help | grep -qE '^ +-m, --model=PATH'
}

# no_model SAYS PATH: exit 3 from all of them, with SAYS in the message, and no output.
no_model() {
    local says=$1 path=$2 tool
    for tool in "${TOOLS[@]}"; do
        reads_model "$tool" || continue
        tested=$((tested + 1))
        minimal "$tool"
        call 3 "$tool" "${args[@]}" -m "$path" <"$input"
        grep -qF -- "$says" err || complain "$tool -m $path: no '$says' in: $(head -c 500 err)"
        [ ! -s out ] || complain "$tool -m $path: writes to stdout"
    done
}

@test "a model in whose place something else lies: exit 3, and what it is" {
    local tested=0 name
    mkdir tf
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 548105171\n' >lfs
    printf '<!DOCTYPE html>\n<html><title>404</title></html>\n' >html
    printf 'model_checkpoint_path: "model.ckpt"\n' >tf/checkpoint
    printf 'index' >tf/model.ckpt.index
    for name in model.safetensors ckpt.pt; do
        mkdir "lfs-$name" "html-$name"
        cp "$TESTS/fixtures/forward/hf/config.json" "lfs-$name"
        cp "$TESTS/fixtures/forward/hf/config.json" "html-$name"
        cp lfs "lfs-$name/$name"
        cp html "html-$name/$name"
        no_model 'Git LFS pointer' "lfs-$name"
        no_model 'HTML page' "html-$name"
    done
    no_model 'Git LFS pointer' lfs
    no_model 'HTML page' html
    no_model 'TensorFlow checkpoint' tf
    no_model 'TensorFlow checkpoint' tf/checkpoint
    no_model 'not a model' "$STREAM"
    [ "$tested" -gt 0 ]
    done_all
}

@test "a damaged model: exit 3, and where" {
    local tested=0 hf=$TESTS/fixtures/forward/hf size at
    mkdir cut shape offset
    for at in 1 30 1000 20000 45198; do
        head -c "$at" "$MODEL/ckpt.pt" >cut/ckpt.pt
        no_model cut/ckpt.pt cut
    done
    rm cut/ckpt.pt
    cp "$hf/config.json" cut
    size=$(wc -c <"$hf/model.safetensors")
    for at in 0 7 100 3000 $((size - 1)); do
        head -c "$at" "$hf/model.safetensors" >cut/model.safetensors
        no_model cut/model.safetensors cut
    done
    cp "$hf/model.safetensors" shape
    sed 's/"vocab_size": 29/"vocab_size": 30/' "$hf/config.json" >shape/config.json
    no_model 'tensor wte.weight: its shape is [29, 16], not [30, 16]' shape
    cp "$hf/config.json" offset
    LC_ALL=C sed 's/\[28928, 28992\]/[98928, 98992]/' "$hf/model.safetensors" >offset/model.safetensors
    no_model 'tensor ln_f.bias' offset
    [ "$tested" -gt 0 ]
    done_all
}

@test "hostile models: a pickle that calls, a zip bomb: exit 3, and nothing happens" {
    local tested=0
    mkdir evil
    cp "$MODEL/ckpt.pt" evil
    printf "cos\nsystem\n(S'touch %s/called'\ntR." "$PWD" >evil/meta.pkl
    no_model 'os.system' evil
    [ ! -e called ] || complain "the pickle was executed"
    no_model 'larger than makes sense' "$TESTS/fixtures/models/bad/bomb.pt"
    [ "$tested" -gt 0 ]
    done_all
}
