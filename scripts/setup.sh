# Sourced by the other scripts: creates .venv and installs what this checkout needs, once.
# Sets PYTHON. Works from any directory; needs Python 3.11 to 3.13 with venv.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PYTHON="$ROOT/.venv/bin/python"
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"

find_python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
        2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: Python 3.11, 3.12 or 3.13 with the venv module is needed" >&2
  return 1
}

set_up() {
  local wanted stamp="$ROOT/.venv/installed"
  wanted="$(cat "$ROOT/requirements.txt" "$ROOT/pyproject.toml" | cksum)"
  if [[ -x "$PYTHON" && "$(cat "$stamp" 2>/dev/null)" == "$wanted" ]]; then
    return
  fi
  local base
  base="$(find_python)"
  echo "== installing into $ROOT/.venv (a few minutes, once)"
  [[ -x "$PYTHON" ]] || "$base" -m venv "$ROOT/.venv"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check -r "$ROOT/requirements.txt"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check -e "$ROOT[dev]"
  echo "$wanted" > "$stamp"
}
