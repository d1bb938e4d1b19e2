# heads.gp - what every attention head looks at: one map of layer x head for each score.
#     gnuplot -c heads.gp heads.tsv heads.png
# Table: `attn-stats --wide`, with the columns named here.
here = system("dirname '" . ARG0 . "'"); data = ARG1; out = ARG2
load here . "/style.gp"
scores = "previous current first duplicate induction entropy"
titles = "'previous token' 'current token' 'first token' 'duplicate token' 'induction' 'entropy'"

stats table using "head":"layer" name "T" nooutput
stats table using "entropy" name "E" nooutput
heads = int(T_max_x) + 1
layers = int(T_max_y) + 1
set xrange [-0.5:heads - 0.5]
set yrange [-0.5:layers - 0.5]
unset key

if (text) {
    set xtics 0, 1
    set ytics 0, 1
    eval terminal_text(max(24 + 18 * heads, 72), 4 * layers + 14)
    set multiplot layout 2,3
    do for [i = 1:6] {
        set title word(titles, i)
        plot table using "head":"layer":(short(column(word(scores, i)))) with labels
    }
    unset multiplot
    exit
}

# Maps of w x h points, three in a row.
wide = heads > 16 ? 14 : 28
high = layers > 24 ? 14 : 22
w = heads * wide
h = layers * high
set xtics 0, every(wide) scale 0
set ytics 0, every(high) scale 0
width = 3 * w + 275
height = 2 * h + 160
eval terminal(width, height)
set multiplot
do for [i = 1:6] {
    name = word(scores, i)
    left = 60 + (w + 45) * ((i - 1) % 3)
    bottom = i <= 3 ? 55 + h + 65 : 55
    eval frame(width, height, left, bottom, w, h)
    set title word(titles, i)
    set xlabel i > 3 ? "head" : ""
    set ylabel i % 3 == 1 ? "layer" : ""
    top = name eq "entropy" ? E_max : 1
    set cbrange [0:top]
    eval bar_tics(top, h)
    set cblabel name eq "entropy" ? "nats" : "mean attention"
    if (i % 3) { unset colorbox } else { eval bar(width, height, left, bottom, w, h) }
    eval viridis
    shown(dark) = heads <= 16 && (column(name) < 0.55 * top) == dark ? short(column(name)) : ""
    plot table using "head":"layer":name with image pixels, \
         table using "head":"layer":(shown(1)) with labels font ",8" textcolor "white", \
         table using "head":"layer":(shown(0)) with labels font ",8" textcolor "black"
}
unset multiplot
