# dlrun completion for zsh; put here by `dlrun completion install`.

_dlrun() {
    local line program=${(Q)words[1]} row kind text about files=no prefix=''
    local -a rows whole open
    line="${(pj: :)words[1,CURRENT-1]} $IPREFIX$QIPREFIX$PREFIX"
    program=${program/#\~\//$HOME/}
    rows=("${(@f)$(command $program completion answer zsh "$line" 2>/dev/null)}")
    for row in $rows; do
        kind=${row%%$'\t'*} row=${row#*$'\t'}
        text=${row%%$'\t'*} about=${row#*$'\t'}
        if [[ $kind == files ]]; then
            files=yes prefix=$text
            continue
        fi
        text=${text//\\/\\\\}
        text=${text//:/\\:}${about:+:$about}
        [[ $kind == stem ]] && open+=("$text") || whole+=("$text")
    done
    local status_=1
    (($#whole)) && _describe -V dlrun whole && status_=0
    (($#open)) && _describe -V dlrun open -S '' && status_=0
    if [[ $files == yes ]]; then
        [[ -n $prefix ]] && compset -P "${(b)prefix}"
        _files && status_=0
    fi
    return $status_
}

if ! (($+functions[compdef])); then
    autoload -Uz compinit && compinit -i
fi
compdef _dlrun dlrun
