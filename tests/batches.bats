#!/usr/bin/env bats
# Prompts that go through the model together: each must come out as it does alone.

load common

setup() {
    HF=$FIXTURES/forward/hf
    cd "$BATS_TEST_TMPDIR" || return
}

# N prompts of 10 tokens that differ in the last.
prompts() {
    for ((i = 0; i < $1; i++)); do
        echo "{\"tokens\":[1,2,3,4,5,6,7,8,9,$((i % 7))]}"
    done
}

# Logits are made 256 rows at a time, so item 25 comes in two parts: positions 0 to 5 and 6 to 9.
@test "some positions' logits of an item that lies in two tiles" {
    prompts 40 > p.jsonl
    for slice in 0:4 6:10 5:7 0+6 -1; do
        gpt-run -m "$HF" -f p.jsonl -s "logits[pos=$slice]" -o all.act
        sed -n 26p p.jsonl | gpt-run -m "$HF" -s "logits[pos=$slice]" -o one.act
        act-cache all.act --items 25 | act-diff --atol 1e-5 - one.act
    done
}
