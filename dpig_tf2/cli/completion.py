"""Prints a bash script that completes verbs, flags and their values.

Examples:
    eval "$(dpig completion)"
    dpig completion > /etc/bash_completion.d/dpig

The script holds all names itself, so that completing starts no program. Print it again after an
update.
"""

from absl import flags

from dpig_tf2.cli import program, verbs

FLAGS = flags.FlagValues()

# Bash takes "=" for a word of its own: a value follows in the next word.
_SCRIPT = """_dpig() {
  local current="${COMP_WORDS[COMP_CWORD]}" flag="" words=""
  if [[ "$current" == "=" ]]; then
    flag="${COMP_WORDS[COMP_CWORD - 1]}" current=""
  elif [[ "${COMP_WORDS[COMP_CWORD - 1]}" == "=" ]]; then
    flag="${COMP_WORDS[COMP_CWORD - 2]}"
  fi
  if (( COMP_CWORD == 1 )); then
    words="%(verbs)s"
  elif [[ -n "$flag" ]]; then
    case "${COMP_WORDS[1]} $flag" in
%(values)s
    esac
  elif [[ "$current" == -* ]]; then
    case "${COMP_WORDS[1]}" in
%(flags)s
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ "${#COMPREPLY[@]}" -eq 1 && "${COMPREPLY[0]}" == *= ]]; then
    compopt -o nospace
  fi
}
complete -o default -F _dpig dpig"""


def main() -> None:
    program.show(script())


def script() -> str:
    """The bash script."""
    modules = {verb: verbs.load(verb) for verb in verbs.VERBS}
    flag_lines = [
        f'      {verb}) words="{" ".join([*program.flag_names(module), "--help"])}" ;;'
        for verb, module in modules.items()
    ]
    value_lines = [
        f'      "{verb} --{flag}") words="{" ".join(choices)}" ;;'
        for verb, module in modules.items()
        for flag, choices in program.flag_choices(module).items()
    ]
    return _SCRIPT % {
        "verbs": " ".join(verbs.VERBS),
        "flags": "\n".join(flag_lines),
        "values": "\n".join(value_lines),
    }


if __name__ == "__main__":
    program.run(__name__)
