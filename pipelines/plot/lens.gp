# lens.gp - the logit lens: what the model would say next if it stopped after each layer.
#     gnuplot -c lens.gp lens.tsv lens.png
# Table: `lens` of one item, over hook_resid_pre of layer 0 ("embed") and every hook_resid_post.
here = system("dirname '" . ARG0 . "'"); data = ARG1; out = ARG2
load here . "/style.gp"

stats table using (column("pos")):(row(strcol("hook"), column("layer"))) name "T" nooutput
stats table using (strlen(strcol("top"))):(strlen(strcol("token"))) name "L" nooutput
n_pos = int(T_max_x) + 1
n_row = int(T_max_y) + 1
chars = int(min(max(L_max_x, 2), 9))

set title "Logit lens: likeliest next token, read off each layer"
set ylabel "layer"
set xrange [-0.5:n_pos - 0.5]
set yrange [-0.5:n_row - 0.5]
eval row_tics("y", n_row)
unset key
top(n) = cut(strcol("top"), n)

if (text) {
    eval terminal_text(max(10 + n_pos * (chars + 1), 72), 2 * n_row + 8)
    plot table using "pos":(row(strcol("hook"), column("layer"))):(top(chars)):xtic(cut(strcol("token"), chars)) with labels
    exit
}

w = max(n_pos * max(22, 9 * chars + 6), 400)
h = 28 * n_row
width = w + 190
height = h + 40 + room(L_max_y)
eval terminal(width, height)
eval frame(width, height, 75, room(L_max_y), w, h)
eval bar(width, height, 75, room(L_max_y), w, h)
eval axis("token of the prompt, and its position", height)
eval labels(L_max_y)
eval viridis
set cbrange [0:1]
set cblabel "its probability"
set ytics scale 0

# Dark cells get white letters, light ones black.
shown(dark) = (column("top_prob") < 0.55) == dark ? top(chars) : ""
plot table using "pos":(row(strcol("hook"), column("layer"))):"top_prob":xtic(place(strcol("token"), column("pos"), L_max_y)) with image pixels, \
     table using "pos":(row(strcol("hook"), column("layer"))):(shown(1)) with labels textcolor "white", \
     table using "pos":(row(strcol("hook"), column("layer"))):(shown(0)) with labels textcolor "black"
