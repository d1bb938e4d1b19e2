# random-tokens.awk - prompts of random tokens, as JSON Lines.
#     awk -f random-tokens.awk -v n=8 -v size=25 -v vocab=50257 [-v copies=2] [-v bos=50256] [-v seed=1]
# Each has [bos and then] `size` tokens, drawn evenly from the vocabulary without bos, `copies`
# times over. The generator is Park and Miller's (Comm. ACM 31, 1988): every awk gives the same.
function draw(    id) {
    do {
        seed = seed * 16807 % 2147483647
        id = int(seed / 2147483647 * vocab)
    } while (bos != "" && id == bos && vocab > 1)
    return id
}
BEGIN {
    if (!seed)
        seed = 271828183
    for (i = 0; i < n; i++) {
        once = draw()
        for (k = 1; k < size; k++)
            once = once "," draw()
        all = once
        for (k = 1; k < copies; k++)
            all = all "," once
        print "{\"tokens\":[" (bos != "" ? bos "," : "") all "]}"
    }
}
