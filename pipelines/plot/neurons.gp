# neurons.gp - the neurons of greatest activation: how great, how often, and at which token.
#     gnuplot -c neurons.gp neurons.tsv neurons.png
# Table: `neuron-top --top-neurons N`.
here = system("dirname '" . ARG0 . "'"); data = ARG1; out = ARG2
load here . "/style.gp"

best = only("rank", "0")
stats best using (strlen(strcol("context"))):(strlen(strcol("label"))) name "L" nooutput
stats best using "max":(column("mean")) name "V" nooutput
n = int(L_records)
mark = '(strstrt(strcol("context"), "[["))'
stats best using (@mark):(strlen(strcol("context")) - @mark) name "C" nooutput
set yrange [n - 0.5:-0.5]
set ytics scale 0
unset border
unset key

if (text) { exit error "neurons.gp draws no text: column -t shows the table" }

# The bars take 260 points; texts stand to the right of them on the same axis, the tokens one below
# the other.
point = V_max_x / 260.0
from = min(V_min_y, 0)
active = 275 * point
token = (345 + 7.3 * C_max_x) * point
wide = 365 + 7.3 * (C_max_x + C_max_y)
left = 30 + 8 * L_max_y
eval terminal(left + wide + 10, 20 * n + 90)
eval frame(left + wide + 10, 20 * n + 90, left, 50, wide, 20 * n)
set xrange [from:from + wide * point]
set xtics 0, step(V_max_x, 5), V_max_x
set arrow from from, graph 0 to V_max_x, graph 0 nohead linewidth 0.6 linecolor rgb 0x404040
set label "activation" at 130 * point, graph 0 offset 0,-2.2 center
set label "greatest (bar), mean (dot)" at 0, graph 1 offset 0,0.8
set label "active" at active, graph 1 offset 0,0.8
set label "greatest at [[token]]" at token, graph 1 offset 0,0.8 center
set style fill solid noborder
plot best using (0):0:(0):"max":(column(0) - 0.36):(column(0) + 0.36):ytic(strcol("label")) with boxxyerror linecolor rgb 0x9fc9e6, \
     best using "mean":0 with points pointtype 7 pointsize 0.6 linecolor rgb orange, \
     best using (active):0:(sprintf("%.1f %%", 100 * column("density"))) with labels left font ",9", \
     best using (token):0:(strcol("context")[1:@mark - 1]) with labels right font "DejaVu Sans Mono,9", \
     best using (token):0:(strcol("context")[@mark:*]) with labels left font "DejaVu Sans Mono,9"
