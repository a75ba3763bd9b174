# dlrun completion for fish; put here by `dlrun completion install`.

function __dlrun_complete
    set -l line (commandline -cp | string collect)
    set -l program (commandline -opc | string match -rv '^\w+=')[1]
    set program (string replace -r '^~/' "$HOME/" -- $program)
    command $program completion answer fish "$line" 2>/dev/null | while read -l -d \t kind text about
        if test "$kind" = files
            set -l typed (commandline -ct | string unescape --style=script | string collect)
            set -l path (string sub -s (math 1 + (string length -- "$text")) -- "$typed")
            for found in (__fish_complete_path "$path")
                echo -- "$text$found"
            end
        else
            printf '%s\t%s\n' $text $about
        end
    end
end

complete -c dlrun -e
complete -c dlrun -f -k -a '(__dlrun_complete)'
