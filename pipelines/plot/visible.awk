# visible.awk - a table for gnuplot to draw: notes left out, texts with blanks that can be seen, and
# no quotation marks, which gnuplot would take for its own.
#     -v only=COLUMN=VALUE   just these rows
#     -v by=COLUMN           an empty line where that column's value changes, so that lines drawn
#                            through the points end there
function column(name,    i) {
    for (i = 1; i <= NF; i++)
        if ($i == name)
            return i
    print FILENAME ": no column " name > "/dev/stderr"
    exit 1
}
# Of a context only the [[token]] gets its blanks marked.
function blanks(text,    from, to, token) {
    from = index(text, "[[")
    to = index(text, "]]")
    if (from && from < to) {
        token = substr(text, from, to - from)
        gsub(/ /, "␣", token)
        return substr(text, 1, from - 1) token substr(text, to)
    }
    gsub(/ /, "␣", text)
    return text
}
BEGIN { FS = OFS = "\t" }
/^#/ { next }
!header {
    header = 1
    if (only != "") {
        value = substr(only, index(only, "=") + 1)
        chosen = column(substr(only, 1, index(only, "=") - 1))
    }
    if (by != "")
        key = column(by)
    print
    next
}
chosen && $chosen != value { next }
{
    if (key && rows++ && $key != last)
        print ""
    last = key ? $key : ""
    gsub(/\\\\/, "\001")
    gsub(/\\n/, "⏎")
    gsub(/\\t/, "⇥")
    gsub(/\\r/, "␍")
    gsub(/\001/, "\\")
    gsub(/"/, "″")
    for (i = 1; i <= NF; i++)
        if ($i ~ / /)
            $i = blanks($i)
    print
}
