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
  # What was interrupted while it was made, or made without ensurepip, has no pip.
  "$PYTHON" -m pip --version > /dev/null 2>&1 || "$base" -m venv --clear "$ROOT/.venv"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check -r "$ROOT/requirements.txt"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check -e "$ROOT[dev]"
  echo "$wanted" > "$stamp"
}

# What tests of pages need beside Python's packages: Chromium, and the npm packages of the examples.
# Without it those tests are skipped, so nothing here is an error.
set_up_browser() {
  if ! command -v chromium chromium-browser google-chrome >/dev/null; then
    if [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then
      echo "== installing chromium (once)"
      { apt-get update --quiet --quiet \
        && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes \
          --no-install-recommends chromium; } >/dev/null || true
    fi
    command -v chromium chromium-browser google-chrome >/dev/null \
      || echo "no browser: tests of pages are skipped"
  fi
  local folder="$ROOT/examples/browser"
  if [[ "$folder/package.json" -nt "$folder/node_modules/.package-lock.json" ]]; then
    npm install --prefix "$folder" --no-package-lock --no-audit --no-fund --silent \
      || echo "no npm packages: tests of examples/browser are skipped"
  fi
}
