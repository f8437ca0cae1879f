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

# Bash takes "=" and ":" for words of their own: the value of a flag is up to three words.
_SCRIPT = """_dpig() {
  local at=$COMP_CWORD current="${COMP_WORDS[COMP_CWORD]}" flag="" words="" before="" listed=""
  if [[ "$current" == ":" ]]; then
    at=$((at - 1)) current=""
    before="${COMP_WORDS[at]}:"
  elif (( at > 3 )) && [[ "${COMP_WORDS[at - 1]}" == ":" ]]; then
    at=$((at - 2))
    before="${COMP_WORDS[at]}:"
  fi
  if [[ "$current" == "=" ]]; then
    flag="${COMP_WORDS[at - 1]}" current=""
  elif [[ "${COMP_WORDS[at - 1]}" == "=" ]]; then
    flag="${COMP_WORDS[at - 2]}"
  fi
  if [[ -n "$flag" && "$current" == *,* ]]; then
    listed="${current%%,*},"
    current="${current##*,}"
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
  COMPREPLY=($(compgen -P "$listed" -W "$words" -- "$before$current"))
  COMPREPLY=("${COMPREPLY[@]#"$before"}")
  if [[ "${#COMPREPLY[@]}" -eq 1 && "${COMPREPLY[0]}" == *= ]]; then
    compopt -o nospace
  fi
}
complete -o default -F _dpig dpig"""


def main() -> None:
    program.show(script())


def script() -> str:
    """The bash script."""
    flag_lines, value_lines, known = [], [], _known_values()
    for verb in verbs.VERBS:
        module = verbs.load(verb)
        names = program.flag_names(module)
        negated = [name.replace("--", "--no", 1) for name in names if not name.endswith("=")]
        flag_lines.append(f'      {verb}) words="{" ".join([*names, *negated, "--help"])}" ;;')
        named = {flag: known[flag] for flag in known if f"--{flag}=" in names}
        for flag, values in (named | program.flag_choices(module)).items():
            value_lines.append(f'      "{verb} --{flag}") words="{" ".join(values)}" ;;')
    return _SCRIPT % {
        "verbs": " ".join(verbs.VERBS),
        "flags": "\n".join(flag_lines),
        "values": "\n".join(value_lines),
    }


def _known_values():
    """{flag: values that serve, among others or in lists}."""
    from dpig_tf2.ops.body_parts import REGION_CHOICES
    from dpig_tf2.presets import registry

    presets = [f"{registry.PREFIX}{name}" for name in registry.names()]
    return {
        "factors": ("foreground", "background", "appearance", "pose", "all"),
        "init_from": presets,
        "regions": REGION_CHOICES,
        "run_dir": presets,
    }


if __name__ == "__main__":
    program.run(__name__)
