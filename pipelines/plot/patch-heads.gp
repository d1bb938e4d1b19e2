# patch-heads.gp - activation patching of each head's output, over all positions.
#     gnuplot -c patch-heads.gp patch.tsv patch-heads.png
# Table: `act-patch` of one pair, one direction, with hook point z among the swept.
here = system("dirname '" . ARG0 . "'"); data = ARG1; out = ARG2
load here . "/style.gp"

map = only("hook", "z")
stats map using "head":"layer" name "T" nooutput
stats map using (abs(column("nld"))) name "V" nooutput
heads = int(T_max_x) + 1
layers = int(T_max_y) + 1
set xrange [-0.5:heads - 0.5]
set yrange [-0.5:layers - 0.5]
set xlabel "head"
set ylabel "layer"
set title "patching a head's output (z)"
unset key

if (text) {
    set xtics 0, 1
    set ytics 0, 1
    eval terminal_text(max(10 + 6 * heads, 40), 2 * layers + 8)
    plot map using "head":"layer":(some(column("nld"))) with labels
    exit
}

wide = heads > 16 ? 14 : max(28, 150 / heads)
high = layers > 24 ? 14 : 22
w = heads * wide
h = layers * high
set xtics 0, every(wide) scale 0
set ytics 0, every(high) scale 0
width = w + 190
height = h + 95
eval terminal(width, height)
eval frame(width, height, 65, 55, w, h)
eval bar(width, height, 65, 55, w, h)
# Heads add up to the whole effect, so one of them may be small: the ends follow the data.
limit = max(0.1, V_max)
eval rdbu
set cbrange [-limit:limit]
eval bar_tics(limit, h / 2)
set cblabel "normalised LD"
shown(dark) = heads <= 16 && (abs(column("nld")) > 0.6 * limit) == dark ? some(column("nld")) : ""
plot map using "head":"layer":"nld" with image pixels, \
     map using "head":"layer":(shown(1)) with labels font ",8" textcolor "white", \
     map using "head":"layer":(shown(0)) with labels font ",8" textcolor "black"
