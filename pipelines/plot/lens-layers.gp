# lens-layers.gp - how the prediction of the next token forms, layer by layer.
#     gnuplot -c lens-layers.gp lens.tsv lens-layers.png
# Table: that of lens.gp, the target being the token that does come next.
here = system("dirname '" . ARG0 . "'"); data = ARG1; out = ARG2
load here . "/style.gp"
each = gaps("pos")

layer_row = '(row(strcol("hook"), column("layer")))'
stats table using @layer_row name "T" nooutput
n_row = int(T_max) + 1
eval row_tics("x", n_row)
set xrange [-0.2:n_row - 0.8]
set xlabel "layer (bold: mean over positions)"

if (text) {
    eval terminal_text(78, 22)
    set title "Logit lens: mean over positions, in nats"
    set key outside bottom center horizontal
    set yrange [0:*]
    plot table using @layer_row:"entropy" smooth unique with linespoints pointtype "e" title "e  entropy", \
         table using @layer_row:"kl_final" smooth unique with linespoints pointtype "k" title "k  KL(final || layer)"
    exit
}
eval terminal(1080, 310)
set multiplot layout 1,3 margins 0.065,0.99,0.2,0.87 spacing 0.075
set xtics scale 0.4
set grid ytics linecolor rgb 0xe0e0e0 linewidth 0.5
unset key
thin = "with lines linewidth 0.7 linecolor rgb"
mean = "smooth unique with linespoints linewidth 2 pointsize 0.6 linecolor rgb"

set title "probability of the token that comes next"
set ylabel "probability"
set yrange [0:1]
plot each using @layer_row:"target_prob" @thin 0xd0d0d0, \
     table using @layer_row:"target_prob" @mean blue pointtype 7
set title "its rank among all tokens (1: likeliest)"
set ylabel "rank, counted from 1" offset 1
set logscale y
set yrange [0.8:*]
plot each using @layer_row:(column("target_rank") + 1) @thin 0xd0d0d0, \
     table using @layer_row:(column("target_rank") + 1) @mean blue pointtype 7
set title "entropy, and KL to the final layer"
set ylabel "nats" offset 1
unset logscale y
set yrange [0:*]
set key top right
plot each using @layer_row:"entropy" @thin 0xd5e6f0 notitle, \
     each using @layer_row:"kl_final" @thin 0xf6dfd0 notitle, \
     table using @layer_row:"entropy" @mean blue pointtype 7 title "entropy", \
     table using @layer_row:"kl_final" @mean orange pointtype 5 title "KL(final ‖ layer)"
unset multiplot
