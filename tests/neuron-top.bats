#!/usr/bin/env bats
# Top activating tokens: against a full sort of the same values (make.py).

load common

setup() {
    IN=$FIXTURES/reading
    cd "$BATS_TEST_TMPDIR" || exit
}

table() {
    grep -v '^#' <<<"$output"
}

# column N of the rows
column() {
    table | awk -F '\t' -v c="$1" 'NR > 1 { printf "%s ", $c }'
}

@test "values, places, contexts and statistics equal a full sort, ties by item then position" {
    neuron-top -k 4 --context=3 "$IN/neurons.act" | grep -v '^#' >got
    awk -v tol=1e-8 -f "$IN/same-table.awk" got "$IN/neurons.tsv"
    # texts are compared exactly
    cut -f 1-4,6-9 got >a
    cut -f 1-4,6-9 "$IN/neurons.tsv" >b
    cmp a b
}

@test "more examples asked for than there are tokens" {
    run neuron-top -k 1000 --neurons=L1N6 "$IN/neurons.act"
    expect 0
    [ "$(table | wc -l)" -eq 36 ]
    [ "$(column 4 | tr ' ' '\n' | tail -n 1)" = 34 ]
}

@test "a dead neuron has density 0" {
    run neuron-top -k 1 --neurons=L0N6 "$IN/neurons.act"
    expect 0
    [ "$(column 10)" = "0 " ]
}

@test "--neurons takes single ones, ranges and layers" {
    run neuron-top -k 1 --neurons=L1N6,L0N2:4 "$IN/neurons.act"
    expect 0
    [ "$(column 3)" = "L0N2 L0N3 L1N6 " ]
    neuron-top -k 2 --no-history --neurons=L1 "$IN/neurons.act" >a
    neuron-top -k 2 --no-history -s post1 "$IN/neurons.act" >b
    cmp a b
    [ "$(wc -l <a)" -eq 15 ]
}

@test "--neurons that are not there, or are no neurons" {
    run neuron-top --neurons=L0N2,L2N0 "$IN/neurons.act"
    expect 2 "'L2N0': $IN/neurons.act has none of them"
    local bad
    for bad in '' L N3 L0N L0N5:5 L0N5:2 l0n3 "L0N3," "L0N3 " L-1; do
        run neuron-top --neurons="$bad" "$IN/neurons.act"
        expect 2 "not of the form L3N70, L3N10:20 or L3"
    done
}

@test "--top-neurons sorts by the maximum and cuts" {
    run neuron-top -k 1 --no-history "$IN/neurons.act"
    expect 0
    table | tail -n +2 | sort -t $'\t' -k 12,12gr -k 1,1n -k 2,2n | head -n 3 >want
    run neuron-top -k 1 --no-history --top-neurons=3 "$IN/neurons.act"
    expect 0
    table | tail -n +2 >got
    cmp want got
}

@test "any records of [pos, feature]; labels name the record" {
    run neuron-top -k 1 -s hook_embed "$IN/neurons.act"
    expect 0
    [ "$(column 1)" = "nan nan " ]
    [ "$(column 3)" = "hook_embed[0] hook_embed[1] " ]
    [ "$(column 13)" = "35 35 " ]
}

@test "slices keep their positions and neurons; ids where texts are unknown" {
    run neuron-top "$IN/neurons-sliced.act"
    expect 0
    [ "$(column 3)" = "L3N5 L3N5 L3N5 L3N70 L3N70 L3N70 " ]
    [ "$(column 5)" = "4 3.5 3 3 2 1 " ]
    [ "$(column 6)" = "0 1 0 1 0 0 " ]
    [ "$(column 7)" = "1 2 2 2 2 1 " ]
    [ "$(column 8)" = "<12> <16> <13> <16> <13> <12> " ]
    [ "$(column 9)" = "<11>[[<12>]]<13> <14><15>[[<16>]] <11><12>[[<13>]] <14><15>[[<16>]] <11><12>[[<13>]] <11>[[<12>]]<13> " ]
}

@test "the same from a pipe, and -o writes a file" {
    neuron-top --no-history "$IN/neurons.act" >a
    # shellcheck disable=SC2002 # a pipe is what is tested
    cat "$IN/neurons.act" | neuron-top --no-history >b
    neuron-top --no-history "$IN/neurons.act" -o c
    cmp a b
    cmp a c
}

@test "a stream without neurons says what it has and how to get them" {
    run neuron-top "$IN/heads.act"
    expect 3 "no neuron activations (mlp.hook_post) in the stream, which has blocks.*.attn.hook_pattern; ask for them with gpt-run -s post"
    run neuron-top -s resid_pre "$IN/neurons.act"
    expect 2 "'resid_pre': no such record in $IN/neurons.act; there are: "
}

@test "records of other dimensions are refused" {
    run neuron-top -s pattern "$IN/heads.act"
    expect 3 "item 0: blocks.0.attn.hook_pattern: is not floats by [pos, feature]"
}

@test "infinity is an error that names item, position and neuron" {
    run neuron-top -o table "$IN/neurons-nan.act"
    expect 3 "item 0: blocks.2.mlp.hook_post: position 1, L2N1: the value is NaN or infinite"
    [ ! -e table ]
}

@test "an item that holds other neurons than the one before is refused" {
    run neuron-top "$IN/neurons-changed.act"
    expect 3 "item 1: blocks.0.mlp.hook_post: does not hold the same features"
}

@test "a position outside the item is refused" {
    run neuron-top "$IN/neurons-position.act"
    expect 3 "position 2 of an item of 2 tokens"
}

@test "a cut stream gives no table" {
    head -c 3000 "$IN/neurons.act" >short.act
    run neuron-top -o table short.act
    expect 3 "short.act: byte "
    [ ! -e table ]
}
