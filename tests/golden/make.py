#!/usr/bin/env python3
"""Makes the golden streams, good and bad, from docs/FORMAT.md alone: a second writer, which shares
no code with lib/act. Run it only to add a stream: the files are committed and never change.

    /usr/bin/python3 tests/golden/make.py        writes into the folder it lies in
"""
import os
import struct
import zlib

MAGIC = b"\x89ACT\r\n\x1a\x01"
HERE = os.path.dirname(os.path.abspath(__file__))
expected = []


def save(name, data, message=None):
    with open(os.path.join(HERE, name + ".act"), "wb") as f:
        f.write(data)
    if message:
        expected.append(f"{name}\t{message}\n")


def frame(kind, payload=b"", codec=0, flags=0, raw=None, crc=None, stored=None):
    head = struct.pack("<BBHIII", ord(kind), flags, codec,
                       len(payload) if stored is None else stored,
                       len(payload) if raw is None else raw,
                       zlib.crc32(payload) if crc is None else crc)
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def heads(frames):
    return b"".join(f[:16] for f in frames)


def stream(frames, **end):
    body = MAGIC + b"".join(frames)
    count = {k: end.get(k, sum(f[0] == ord(k) for f in frames)) for k in "IRB"}
    payload = struct.pack("<QQQQI", count["I"], count["R"], count["B"], end.get("bytes", len(body)),
                          end.get("chain", zlib.crc32(heads(frames))))
    return body + frame("E", payload)


def header(text):
    return frame("H", text.encode())


def item(tokens, pieces=None, label="", edits="", meta="", text_len=None):
    text = b"".join(pieces) if pieces is not None else b""
    size = 0xffffffff if pieces is None else len(text)
    p = struct.pack("<IIIII", len(tokens), len(label), len(edits), len(meta),
                    size if text_len is None else text_len)
    p += struct.pack(f"<{len(tokens)}i", *tokens)
    if pieces is not None:
        p += struct.pack(f"<{len(tokens)}I", *map(len, pieces))
    return frame("I", p + (label + edits + meta).encode() + text)


F32, F16, BF16, I32 = range(4)


def record(name, dtype, dims):
    """dims: (label, size, start) or (label, [coordinates])."""
    p = struct.pack("<BBH", dtype, len(dims), len(name)) + name.encode()
    for d in dims:
        listed = isinstance(d[1], list)
        size, start = (len(d[1]), 0) if listed else d[1:]
        p += struct.pack("<IiBB", size, start, listed, len(d[0])) + d[0].encode()
        if listed:
            p += struct.pack(f"<{size}i", *d[1])
    return frame("R", p)


def block(values, codec=0, payload=None, **more):
    return frame("B", values if payload is None else payload, codec=codec, raw=more.pop("raw", len(values)),
                 crc=more.pop("crc", zlib.crc32(values)), **more)


# -- codecs ------------------------------------------------------------------------------------

def huffman_lengths(plane):
    """Plain Huffman; the planes here never need more than 11 bits."""
    nodes = [(plane.count(bytes([b])), [b]) for b in sorted(set(plane))]
    lengths = dict.fromkeys(set(plane), 0)
    while len(nodes) > 1:
        nodes.sort(key=lambda n: n[0])
        (wa, a), (wb, b) = nodes[:2]
        for s in a + b:
            lengths[s] += 1
        nodes[:2] = [(wa + wb, a + b)]
    assert max(lengths.values()) <= 11
    return lengths


def huffman(plane):
    lengths = huffman_lengths(plane)
    codes, code, last = {}, 0, 0
    for length, s in sorted((n, s) for s, n in lengths.items()):
        code <<= length - last
        codes[s] = format(code, f"0{length}b")
        code, last = code + 1, length
    first, final = min(lengths), max(lengths)
    nibbles = [lengths.get(s, 0) for s in range(first, final + 1)]
    nibbles += [0] * (len(nibbles) % 2)
    q = -(-len(plane) // 4)
    streams = []
    for k in range(4):
        bits = "".join(codes[b] for b in plane[k * q:(k + 1) * q])
        bits += "0" * (-len(bits) % 8)
        streams.append(bytes(int(bits[i:i + 8][::-1], 2) for i in range(0, len(bits), 8)))
    return (bytes([first, final]) + bytes(a | b << 4 for a, b in zip(nibbles[::2], nibbles[1::2])) +
            struct.pack("<4I", *map(len, streams)) + b"".join(streams))


def rotated(values, width, rotate):
    top = 8 * width - 1
    out = []
    for i in range(0, len(values), width):
        v = int.from_bytes(values[i:i + width], "little")
        out.append((v << 1 | v >> top) & (1 << top + 1) - 1 if rotate else v)
    return out


def planes(values, width, rotate=True, methods="shss"):
    words = rotated(values, width, rotate)
    out = b""
    for k, method in zip(range(width), methods):
        plane = bytes(w >> 8 * (width - 1 - k) & 255 for w in words)
        out += {"s": lambda: b"\0" + plane, "c": lambda: b"\1" + plane[:1],
                "h": lambda: b"\2" + huffman(plane)}[method]()
    return out


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def runs(fill, counts, literals, width, methods="ssss"):
    lengths = b"".join(map(varint, counts))
    return (struct.pack("<III", fill, len(literals) // width, len(lengths)) + lengths +
            (planes(literals, width, methods=methods) if literals else b""))


# -- the good ones -----------------------------------------------------------------------------

def halves(values):
    return struct.pack(f"<{len(values)}e", *values)


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


H = header("model\tc0ffee\nhistory\tgpt-run -p 'Hi'\n")
I = item([39, 72], [b"H", b"i"], label="greeting")
R1, V1 = record("ln_final.hook_scale", F32, [("pos", 2, 0), ("scale", 1, 0)]), floats([1, 1.5])
B1 = block(V1)
R2 = record("blocks.0.attn.hook_pattern", F16, [("head", [3]), ("query", 7, 0), ("key", 7, 0)])
rows = [[1 / (q + 1) if k <= q else 0.0 for k in range(7)] for q in range(7)]
V2 = halves(sum(rows, []))
# Runs of fewer than four zeros stay among the literals.
L2 = halves(rows[0][:1] + rows[1][:2] + rows[2][:3] + rows[3] + rows[4] + rows[5] + rows[6])
B2 = block(V2, 2, runs(0, [1, 6, 2, 5, 3, 4, 28], L2, 2))
small = [H, I, R1, B1, R2, B2]
save("good-small", stream(small))


def lcg(n, seed=1):
    """The numbers that the test makes too (Numerical Recipes' generator)."""
    out = []
    for _ in range(n):
        seed = (seed * 1664525 + 1013904223) & 0xffffffff
        out.append(seed)
    return out


def kinds():
    """Every type, codec and plane method; frames to be skipped at every place."""
    def skip():
        return frame("?", b"whatever", flags=1)
    bell = [(0.25 + (x >> 9) * 2.0 ** -24) * 2.0 ** (-bin(x >> 16 & 255).count("1")) for x in lcg(2000)]
    f32 = floats(bell)
    f16 = halves([round(x * 2 ** 20) / 2 ** 20 for x in bell])
    bf16 = b"".join(f32[i + 2:i + 4] for i in range(0, len(f32), 4))
    i32 = struct.pack("<2000i", *[x >> 24 for x in lcg(2000)])
    ninf = struct.pack("<f", float("-inf"))
    masked = b"".join(f32[4 * (50 * q + k):4 * (50 * q + k) + 4] if k <= q else ninf
                      for q in range(40) for k in range(50))
    lit = b"".join(f32[200 * q:200 * q + 4 * (q + 1)] for q in range(40))
    counts = sum([[q + 1, 49 - q] for q in range(40)], [])
    odd = struct.pack("<5I", 0x7fc00001, 0xffc12345, 0x7f800001, 0x80000000, 1)
    pos = [("pos", 40, 0), ("d_model", 50, 0)]
    return [header("model\t00ff\nmodel.name\ttab\\tback\\\\slash\\x01\nhistory\tone\nhistory\ttwo\n"),
            skip(), record("mean", F32, []), skip(), block(floats([2.5])), skip(),
            item([-1, 7, 2 ** 31 - 1], None, meta='{"answer":" cat"}'), skip(),
            record("f32", F32, pos), block(f32, 1, planes(f32, 4, methods="hsss")),
            record("f16", F16, pos), block(f16, 1, planes(f16, 2, methods="hs")),
            record("bf16", BF16, pos), block(bf16, 1, planes(bf16, 2, methods="hs")),
            record("i32", I32, pos), block(i32, 1, planes(i32, 4, False, methods="cccs")),
            item([], [], label="no tokens", edits="zero z3\n"),
            record("masked", F32, pos), block(masked, 2, runs(0xff800000, counts, lit, 4, "hsss")),
            record("filled", F32, pos), block(ninf * 2000, 2, runs(0xff800000, [0, 2000], b"", 4)),
            record("odd bits", F32, [("pos", 5, -2)]), block(odd),
            record("empty", BF16, [("pos", 0, 0), ("neuron", [5, 70])]), skip()]


save("good-kinds", stream(kinds()))

# -- the bad ones ------------------------------------------------------------------------------

good = stream(small)
save("bad-empty", b"", "byte 0: empty input")
save("bad-text", b"<!DOCTYPE html><html>\n", "byte 0: not an activation stream")
save("bad-newlines", good.replace(b"\r\n", b"\n"), "byte 0: not an activation stream")
save("bad-version", good[:7] + b"\2" + good[8:], "version 2 of the stream format")
save("bad-cut-magic", good[:5], "byte 5: cut short")
save("bad-cut-header", good[:40], "inside the HEADER frame that begins at byte 8")
save("bad-cut-head", good[:0xca + 7], "inside a frame's head")
save("bad-cut-block", good[:0x146 + 30], "byte 356, item 0 \"greeting\", record blocks.0.attn.hook_pattern: "
     "cut short: the stream ends inside the BLOCK frame that begins at byte 326")
save("bad-cut-record", good[:0xe6], "byte 230, item 0 \"greeting\", record ln_final.hook_scale: "
     "cut short: the stream ends without its END frame")
save("bad-cut-end", good[:-1], "inside the END frame")
save("bad-no-end", good[:0x1b3], "without its END frame")
save("bad-garbage", good + b"\n", "bytes follow the stream's END")
save("bad-joined", good + good, "cat does not join streams, act-cache does")
save("bad-joined-cut", good[:0xe6] + good, "another stream begins before this one's END")


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


save("bad-head-bit", flip(good, 0xe6 + 4), "RECORD frame: not a frame, or its head is damaged")
save("bad-item-bit", flip(good, 0x60), "ITEM frame: checksum is")
save("bad-header-bit", flip(good, 0x20), "HEADER frame: checksum is")
save("bad-value-bit", flip(good, 0xde), "record ln_final.hook_scale: BLOCK frame: checksum of its values")
save("bad-end-bit", flip(good, 0x1d0), "END frame: checksum is")


def bad(name, frames, message, **end):
    save("bad-" + name, stream(frames, **end), message)


bad("unknown-frame", [H, I, frame("X", b"new"), R1, B1], "a frame of type 0x58, which this version does not know")
bad("unknown-coded", [H, I, frame("X", b"new", codec=1, flags=1), R1, B1], "a frame of type 0x58 cannot be coded")
bad("flags", [H, frame("I", I[20:], flags=1), R1, B1], "flags 0x01 are not known")
bad("codec", [H, I, R1, block(V1, 3, V1[:4])], "codec 3 is not known")
bad("item-coded", [H, frame("I", I[20:], codec=1)], "a frame of type 0x49 cannot be coded")
bad("huge-header", [frame("H", b"model\tx\n", stored=1 << 31, raw=1 << 31)],
    "2147483648 bytes are beyond the limit")
bad("huge-block", [H, I, R1, block(V1, raw=1 << 21, stored=1 << 21)], "2097152 bytes of values are more than a block")
bad("no-header", [I, R1, B1], "ITEM frame: should be the HEADER")
bad("two-headers", [H, H, I], "HEADER frame: a second one")
bad("block-first", [H, B1, I], "BLOCK frame: no record has values left")
bad("extra-block", [H, I, R1, B1, B1], "BLOCK frame: no record has values left")
bad("missing-block", [H, I, R1, R2, B2], "RECORD frame: a BLOCK should be here: the record has 0 of its 2 values")
bad("missing-last", [H, I, R1], "END frame: a BLOCK should be here")
bad("short-block", [H, I, R1, block(V1[:4])], "4 bytes of values, should be 8")
bad("not-shorter", [H, I, R1, block(V1, 1, V1)], "8 bytes cannot stand for 8")
bad("end-items", small, "were written, but 1, 2, 2, 435 are here", I=2)
bad("end-records", small, "were written, but", R=3)
bad("end-blocks", small, "were written, but", B=0)
bad("end-bytes", small, "were written, but", bytes=434)
bad("swapped", [H, I, R2, B2, R1, B1], "exchanged or altered", chain=zlib.crc32(heads(small)))
save("bad-end-length", good[:0x1b3] + frame("E", b"\0" * 28), "28 bytes, should be 36")

bad("header-no-tab", [header("model\n")], "a line without a tab")
bad("header-twice", [header("a\tb\na\tc\n")], 'the key "a" comes twice')
bad("header-escape", [header("a\t\\q\n")], "an escape sequence that is none")
bad("header-nul", [header("a\t\\x00\n")], "an escape sequence that is none")
bad("header-raw-nul", [header("a\tb\0\n")], "not made of lines of text")
bad("header-no-newline", [header("a\tb")], "not made of lines of text")
bad("header-key", [header("\tb\n")], "a key must have 1 to 127 bytes")
bad("item-short", [H, frame("I", I[20:30])], "ITEM frame: its fields do not fit")
bad("item-tokens", [H, frame("I", b"\xff\xff\xff\x3f" + I[24:])], "ITEM frame: its fields do not fit")
bad("item-pieces", [H, item([1, 2], [b"ab", b"c"], text_len=2)], "its tokens' texts do not fit")
bad("item-long", [H, frame("I", I[20:] + b"x")], "ITEM frame: its fields do not fit")
bad("item-nul", [H, item([1], None, label="a\0b")], "a zero byte in a text")
bad("record-dtype", [H, record("x", 4, [])], "data type 4 with 0 dimensions")
bad("record-dims", [H, record("x", F32, [("pos", 1, 0)] * 5)], "data type 0 with 5 dimensions")
bad("record-name", [H, record("", F32, [])], "a record's name must have 1 to 127 bytes")
bad("record-long-name", [H, record("x" * 128, F32, [])], "a name of 128 bytes does not fit")
bad("record-control", [H, record("a\tb", F32, [])], "a record's name must have")
bad("record-label", [H, record("x", F32, [("", 1, 0)])], "dimension 0 has no valid label")
bad("record-huge", [H, record("x", F32, [("pos", 1 << 24, 0)] * 3)], "more values than the limit of 2^40")
bad("record-overflow", [H, record("x", F32, [("pos", 0xffffffff, -2 ** 31)] * 3)], "more values than the limit")
bad("record-coordinates", [H, record("x", F32, [("pos", 2, 0x7fffffff)])], "coordinates of dimension \"pos\" overflow")
bad("record-listed", [H, frame("R", record("x", F32, [("pos", [1, 2])])[20:-1])], "its coordinates do not fit")
bad("record-start", [H, frame("R", record("x", F32, [("pos", [1])])[20:].replace(b"\1\0\0\0\0\0\0\0\1", b"\1\0\0\0\5\0\0\0\1"))],
    "has both a start and an index")
bad("record-lies", [H, record("x", F32, [("pos", 1 << 20, 0), ("d_model", 1 << 20, 0)]),
                    block(b"\0" * (1 << 20), 2, runs(0, [0, 1 << 18], b"", 4))],
    "the record has 262144 of its 1099511627776 values")
save("bad-item-lies", MAGIC + H + frame("I", I[20:], stored=1 << 24, raw=1 << 24), "inside the ITEM frame")
bad("record-extra", [H, frame("R", R1[20:] + b"x")], "RECORD frame: its fields do not fit")

R = record("x", F32, [("pos", 64, 0)])
V = floats([1 + (i % 4 > 0) + (i % 4 > 2) for i in range(64)])  # one exponent plane of two values
P = planes(V, 4, methods="hccc")
assert P[:3] == b"\2\x7f\x80"


def bad_block(name, payload, message, codec=1, v=V, r=R):
    bad(name, [H, I, r, block(v, codec, payload)], message)


bad_block("plane-cut", P[:-3], "its third byte plane is damaged")
bad_block("plane-extra", P + b"\0", "1 bytes too many after its planes")
bad_block("plane-method", b"\3" + P[1:], "its first byte plane is damaged")
bad_block("plane-none", b"", "its first byte plane is damaged")
bad_block("plane-wrong", P.replace(b"\x7f\x80", b"\x7e\x7f"), "checksum of its values")
bad_block("huffman-order", P.replace(b"\x7f\x80", b"\x80\x7f"), "its first byte plane is damaged")
bad_block("huffman-incomplete", P[:3] + b"\x21" + P[4:], "its first byte plane is damaged")
bad_block("huffman-oversubscribed", b"\2\x7f\x81\x11\x01" + P[4:], "its first byte plane is damaged")
bad_block("huffman-too-long", P[:3] + b"\xc1" + P[4:], "its first byte plane is damaged")
bad_block("huffman-length", P[:4] + b"\xff" + P[5:], "its first byte plane is damaged")
bad_block("huffman-short-stream", P[:4] + b"\1" + P[5:20] + P[21:], "its first byte plane is damaged")

Z = floats([0] * 60 + [1, 2, 3, 4])
ZL = Z[240:]


def bad_runs(name, payload, message):
    bad_block(name, payload, message, 2, Z)


good_runs = runs(0, [0, 60, 4], ZL, 4)
bad_runs("runs-short", good_runs[:11], "too short for its runs")
bad_runs("runs-literals", good_runs[:4] + struct.pack("<I", 65) + good_runs[8:], "its runs do not fit")
bad_runs("runs-bytes", good_runs[:8] + struct.pack("<I", 999) + good_runs[12:], "its runs do not fit")
bad_runs("runs-too-many", runs(0, [0, 61, 4], ZL, 4), "its list of runs is damaged")
bad_runs("runs-too-few", runs(0, [0, 59, 4], ZL, 4), "its list of runs is damaged")
bad_runs("runs-zero", runs(0, [0, 60, 0, 0, 4], ZL, 4), "its list of runs is damaged")
bad_runs("runs-more-literals", runs(0, [5, 59], ZL, 4), "its list of runs is damaged")
bad_runs("runs-long-form", runs(0, [0, 60], ZL, 4)[:8] + b"\4\0\0\0" + b"\0\xbc\0\4" +
         planes(ZL, 4, methods="ssss"), "its list of runs is damaged")
bad_block("runs-fill", runs(0x10000, [0, 60, 4], halves([1, 2, 3, 4]), 2), "its runs do not fit", 2,
          halves([0] * 60 + [1, 2, 3, 4]), record("x", F16, [("pos", 64, 0)]))

with open(os.path.join(HERE, "expected"), "w", encoding="ascii") as f:
    f.writelines(sorted(expected))
