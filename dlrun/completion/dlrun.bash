# dlrun completion for bash; put here by `dlrun completion install`.

_dlrun() {
    local line=${COMP_LINE:0:COMP_POINT} program=${COMP_WORDS[0]} kind text about replies
    program=${program/#\~\//$HOME/}
    COMPREPLY=()
    replies=$(command "$program" completion answer bash "$line" "$2" 2>/dev/null) || return 0
    # What was typed can be kept as it is: only the end of the line is replaced, by quoted text.
    while IFS=$'\t' read -r kind text about; do
        case $kind in
            word) COMPREPLY+=("$text") ;;
            stem)
                COMPREPLY+=("$text")
                compopt -o nospace 2>/dev/null
                ;;
            files) compopt -o default 2>/dev/null ;;
        esac
    done <<<"$replies"
    compopt -o nosort 2>/dev/null
    return 0
}

if ((BASH_VERSINFO[0] < 4)); then # which cannot choose any of this for a single answer
    complete -o nospace -o default -F _dlrun dlrun
else
    complete -F _dlrun dlrun
fi
