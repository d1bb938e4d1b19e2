# Prints C sources as FILE:LINE:TEXT with comments and the contents of string and character literals
# left out, so that checks see code only.
FNR == 1 { comment = 0 }
{
    text = $0
    out = ""
    while (text != "") {
        if (comment) {
            i = index(text, "*/")
            if (!i)
                break
            text = substr(text, i + 2)
            comment = 0
        } else if (match(text, /^("([^"\\]|\\.)*"|'([^'\\]|\\.)*')/)) {
            quote = substr(text, 1, 1)
            # An include keeps its file name.
            out = out (out ~ /^[ \t]*#[ \t]*include/ ? substr(text, 1, RLENGTH) : quote quote)
            text = substr(text, RLENGTH + 1)
        } else if (substr(text, 1, 2) == "/*") {
            text = substr(text, 3)
            comment = 1
        } else if (substr(text, 1, 2) == "//") {
            break
        } else {
            out = out substr(text, 1, 1)
            text = substr(text, 2)
        }
    }
    if (out !~ /^[ \t]*$/)
        print FILENAME ":" FNR ":" out
}
