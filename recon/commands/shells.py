"""Completion scripts of shells, written out from what there is to complete: no script asks recon again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Names = Mapping[str, Sequence[str]]
"""Flags, and the words that each may take; none where any word will do."""


@dataclass(frozen=True)
class Completion:
    """Everything that can be completed."""

    summaries: Mapping[str, str]
    """Commands, and what each is for."""
    flags: Mapping[str, Names]
    """Of each command, or command and action ("data get")."""
    of_field: Mapping[str, Names]
    """Flags that a field brings."""
    fits: Mapping[str, str]
    """Commands that take a field's flags, and the field that they take without --field."""
    words: Mapping[str, Sequence[str]]
    """What else may stand behind a command."""
    takes_run: Sequence[str]
    """Commands that take a run."""

    @property
    def actions(self) -> dict[str, list[str]]:
        """Of each command that has some."""
        found: dict[str, list[str]] = {}
        for path in self.flags:
            name, _, action = path.partition(" ")
            if action:
                found.setdefault(name, []).append(action)
        return found


BASH = r"""# Completion of recon in bash.
_recon() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local path=${COMP_WORDS[1]} field="" reply="" i runs=${RECON_HOME:-.}/renders
    if [[ $cur == "=" ]]; then
        cur=""
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=( $(compgen -W "@commands@" -- "$cur") )
        return
    fi
    case "$path ${COMP_WORDS[2]}" in
        @actions@) (( COMP_CWORD > 2 )) && path="$path ${COMP_WORDS[2]}" ;;
    esac
    for (( i = 2; i < COMP_CWORD; i++ )); do
        if [[ ${COMP_WORDS[i]} == --field ]]; then
            field=${COMP_WORDS[i+1]}
            [[ $field == "=" ]] && field=${COMP_WORDS[i+2]}
        fi
    done
    if [[ -z $field ]]; then
        case $path in
@fits@
        esac
    fi
    case "$path $prev" in
@values@
    esac
    if [[ -z $reply ]]; then
        case "$path:$field $prev" in
@field_values@
        esac
    fi
    if [[ -z $reply && $cur == -* ]]; then
        case $path in
@flags@
        esac
        case "$path:$field" in
@field_flags@
        esac
    elif [[ -z $reply && $prev != --* ]]; then
        case $path in
@words@
        esac
    fi
    case "$path $prev" in
        *" --resume"|*" --config"|@takes_run@)
            if [[ $cur != -* ]]; then
                for i in "$runs"/{sdf,occ,nerf,fit}/*/*/; do
                    [[ -d $i ]] && reply+=" ${i#"$runs"/}"
                done
            fi ;;
    esac
    COMPREPLY=( $(compgen -W "$reply" -- "$cur") )
}
complete -o bashdefault -o default -F _recon recon
"""

ZSH = """#compdef recon
# Completion of recon in zsh, by its own emulation of bash's. Source it from ~/.zshrc.
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u; }
autoload -Uz +X bashcompinit && bashcompinit
"""

FISH = """# Completion of recon in fish.
function __recon_path
    set -l words (commandline -opc)
    test (count $words) -gt 1; or return 1
    set -l path $words[2]
    if test (count $words) -gt 2; and contains -- "$words[2] $words[3]" @actions@
        set path "$words[2] $words[3]"
    end
    echo $path
end
function __recon_is
    test "$(__recon_path)" = "$argv[1]"
end
function __recon_field
    set -l words (commandline -opc)
    set -l chosen (string match -r -- '--field[= ](\\S+)' "$words")[2]
    if test -z "$chosen"
        switch (__recon_path)
@fits@
        end
    end
    test "$chosen" = "$argv[1]"
end
function __recon_runs
    set -l home $RECON_HOME
    test -n "$home"; or set home .
    for run in $home/renders/{sdf,occ,nerf,fit}/*/*/
        string replace -- "$home/renders/" "" $run
    end
end
complete -c recon -n 'not __recon_path > /dev/null' -f -a '@commands@'
@lines@
"""


def bash(found: Completion) -> str:
    """For bash, of any version."""
    values = [
        (f'"{path} {flag}"', words) for path, flags in found.flags.items() for flag, words in flags.items() if words
    ]
    of_field = [(f"*:{name} {flag}", w) for name, flags in found.of_field.items() for flag, w in flags.items() if w]
    parts = {
        "commands": " ".join(found.summaries),
        "actions": "|".join(f'"{path}"' for path in found.flags if " " in path) or "-",
        "fits": "\n".join(f"            {path}) field={field} ;;" for path, field in found.fits.items()),
        "values": _cases(values, 8),
        "field_values": _cases([(_pattern(pattern), words) for pattern, words in of_field], 12),
        "flags": _cases([(f'"{path}"', list(flags)) for path, flags in found.flags.items()], 12),
        "field_flags": "\n".join(
            f'            {"|".join(f"{path}:{name}" for path in found.fits)}) reply+=" {" ".join(flags)}" ;;'
            for name, flags in found.of_field.items()
        ),
        "words": _cases([(f'"{path}"', words) for path, words in found.words.items()], 12),
        "takes_run": "|".join(f'"{path} "*' for path in found.takes_run),
    }
    return _filled(BASH, parts)


def zsh(found: Completion) -> str:
    """For zsh."""
    return ZSH + bash(found)


def fish(found: Completion) -> str:
    """For fish."""
    lines = []
    for path, flags in found.flags.items():
        lines += [
            f"complete -c recon -n '__recon_is \"{path}\"' {_option(flag, words)}" for flag, words in flags.items()
        ]
    for path, words in found.words.items():
        lines.append(f"complete -c recon -n '__recon_is \"{path}\"' -a '{' '.join(words)}'")
    for name, flags in found.of_field.items():
        when = f"contains -- (__recon_path) {' '.join(found.fits)}; and __recon_field {name}"
        lines += [f"complete -c recon -n '{when}' {_option(flag, words)}" for flag, words in flags.items()]
    lines += [f"complete -c recon -n '__recon_is {path}' -a '(__recon_runs)'" for path in found.takes_run]
    parts = {
        "commands": " ".join(found.summaries),
        "actions": " ".join(f'"{path}"' for path in found.flags if " " in path) or '""',
        "fits": "\n".join(
            f"            case {path}\n                set chosen {field}" for path, field in found.fits.items()
        ),
        "lines": "\n".join(lines),
    }
    return _filled(FISH, parts)


SCRIPTS: dict[str, Callable[[Completion], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _option(flag: str, words: Sequence[str]) -> str:
    name = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
    return f"{name} -x -a '{' '.join(words)}'" if words else name


def _pattern(text: str) -> str:
    """A pattern of bash with a blank in it."""
    return text.replace(" ", r"\ ")


def _cases(rows: Sequence[tuple[str, Sequence[str]]], indent: int) -> str:
    """Branches of `case` that set the reply; those with the same words share one."""
    patterns: dict[str, list[str]] = {}
    for pattern, words in rows:
        patterns.setdefault(" ".join(words), []).append(pattern)
    return "\n".join(f'{" " * indent}{"|".join(same)}) reply="{words}" ;;' for words, same in patterns.items())


def _filled(script: str, parts: Mapping[str, str]) -> str:
    for name, text in parts.items():
        script = script.replace(f"@{name}@", text)
    return script
