#!/bin/bash
# prompts.sh - what a report runs a model on, as JSON Lines or text on stdout.
#     MODEL=path prompts.sh pair|repeated|text CONFIG.json FILE...
# pair: the first of the FILEs whose clean prompt and answers the model can read. text: likewise.
# When it can read none of them, random tokens, and a message. repeated: random tokens twice.
set -eu -o pipefail
here=$(dirname "$0")
kind=$1 config=$2
shift 2
vocab=$(jq .vocab_size "$config") context=$(jq .n_positions "$config")
bos=$(jq -r '.bos_token_id // empty' "$config")

random() {
    awk -f "$here/random-tokens.awk" -v vocab="$vocab" "$@"
}
at_most() { # the smaller of $1 and $2
    echo $(($1 < $2 ? $1 : $2))
}

# Succeeds when the model can read all prompts of $1; else says why not, in $why.
readable() {
    local windows=() status=0
    [[ $1 == *.jsonl ]] || windows=(--window "$context")
    why=$(gpt-run -m "$MODEL" -n "${windows[@]}" -f "$1" -o /dev/null 2>&1) || status=$?
    if [ $status -gt 3 ]; then
        echo "$why" >&2
        exit $status
    fi
    return $status
}

for file; do
    if readable "$file"; then
        cat "$file"
        exit
    fi
done

case $kind in
    pair)
        # One token differs; the answers are any two tokens.
        size=$(at_most 12 "$context")
        random -v n=2 -v size="$size" | jq -cs --argjson vocab "$vocab" '
            (.[0].tokens) as $clean | ($clean | length / 2 | floor) as $at | .[1].tokens[0] as $answer |
            {$clean, corrupted: ($clean | .[$at] = (.[$at] + 1) % $vocab),
             $answer, wrong: (($answer + 1) % $vocab)}'
        ;;
    repeated)
        size=$(at_most 25 $(((context - 1) / 2)))
        random -v n=8 -v size="$size" -v copies=2 -v bos="$bos"
        ;;
    text)
        random -v n=32 -v size="$(at_most 64 "$context")"
        ;;
esac
[ $# -eq 0 ] || echo "report: random tokens for want of a $kind that the model can read ($why)" >&2
