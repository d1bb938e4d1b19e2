# training-loss.gp - the losses of a training run, its learning rate and gradient.
#     gnuplot -c training-loss.gp log.tsv loss.png
#     gnuplot -c training-loss.gp log.tsv live [SECONDS]    drawn again and again while it trains:
#         in a window where gnuplot can, else in the terminal; until Ctrl-C
# Table: the log.tsv of gpt-train.
here = system("dirname '" . ARG0 . "'"); data = ARG1; out = ARG2
load here . "/style.gp"
live = out eq "live"
windows = strstrt(GPVAL_TERMINALS, " qt ") ? "qt" : strstrt(GPVAL_TERMINALS, " x11 ") ? "x11" : ""
window = live && windows ne "" && system('echo "${DISPLAY-}${WAYLAND_DISPLAY-}"') ne ""
seconds = ARGC > 2 ? ARG3 + 0 : 5

if (live) {
    # Until there is a first row.
    set print "-"
    while (system(sprintf("sed '/^#/d' '%s' 2>/dev/null | wc -l", data)) + 0 < 2) { pause seconds }
}

set title "loss"
set xlabel "step"
set key top right

if (text || live && !window) {
    size = live ? system("{ stty size </dev/tty; } 2>/dev/null || echo 24 80") : "24 79"
    set terminal dumb size word(size, 2) - 1, word(size, 1) - 1
    if (!live) { set output out }
    while (1) {
        if (live) { print "\033[H\033[2J" }
        plot table using "step":"train_loss" with linespoints pointtype "t" title "t  training text", \
             table using "step":"val_loss" with linespoints pointtype "v" title "v  validation text"
        if (!live) { break }
        pause seconds
    }
    exit
}

if (window) { eval sprintf("set terminal %s size 760,640 title 'gpt-train'", windows) } \
else { eval terminal(760, 640) }
set grid ytics linecolor rgb 0xe0e0e0 linewidth 0.5
while (1) {
    set multiplot layout 2,1 margins 0.1,0.9,0.09,0.95 spacing 0.13
    set title "loss"
    set ylabel "nats a token"
    set xlabel ""
    plot table using "step":"train_loss" with linespoints linewidth 2 pointsize 0.4 pointtype 5 linecolor rgb orange title "training text", \
         table using "step":"val_loss" with linespoints linewidth 2 pointsize 0.4 pointtype 7 linecolor rgb blue title "validation text"
    set title "learning rate and gradient"
    set xlabel "step"
    set ylabel "learning rate"
    set yrange [0:*]
    set y2label "norm of the gradient"
    set y2range [0:*]
    set y2tics
    plot table using "step":"lr" with lines linewidth 2 linecolor rgb blue title "learning rate", \
         table using "step":"grad_norm" axes x1y2 with linespoints linewidth 1.4 pointsize 0.4 pointtype 5 linecolor rgb orange title "norm of the gradient"
    unset multiplot
    if (!window) { break }
    unset y2tics
    unset y2label
    set yrange [*:*]
    pause seconds
}
