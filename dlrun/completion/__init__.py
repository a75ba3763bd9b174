"""TAB in bash, zsh and fish: verbs, names of runs, groups, choices, keys and flags."""
