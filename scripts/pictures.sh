#!/usr/bin/env bash
# Makes anew what the documentation shows of the shipped weights: the sheet of the README, sampled persons,
# screenshots of the page, the outputs of the notebook, the model card in docs/presets.md.
#
#   ./scripts/pictures.sh
#
# Needs Chromium, as the browser tests do.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
cd "$ROOT"

WEIGHTS=persons_128x64
WORK="$(mktemp -d)"
PAGE=
trap '[[ -z "$PAGE" ]] || kill "$PAGE"; rm -rf "$WORK"' EXIT
dpig() { "$PYTHON" -m dpig_tf2.cli.main "$@"; }

echo "== docs/overview.png"
"$PYTHON" scripts/overview_picture.py docs/overview.png

echo "== docs/sampled.png"
"$PYTHON" scripts/true_and_sampled.py --run_dir="preset:$WEIGHTS" --out=docs/sampled.png

echo "== docs/page_*.png"
"$PYTHON" -m dpig_tf2.cli.main page --run_dir="preset:$WEIGHTS" --port=7868 &
PAGE=$!
until curl --silent --fail --output /dev/null http://localhost:7868; do
  kill -0 "$PAGE" # ends here if the page has ended
  sleep 1
done
"$PYTHON" scripts/page_screenshots.py http://localhost:7868 docs
kill "$PAGE"
PAGE=

echo "== examples/quickstart.ipynb"
"$PYTHON" scripts/run_notebook.py

echo "== model card in docs/presets.md"
dpig presets --name="$WEIGHTS" | grep -v "^  Folder:" > "$WORK/card"
"$PYTHON" - "$WORK/card" <<'PYTHON'
import pathlib
import sys

page = pathlib.Path("docs/presets.md")
card = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
start, end = "<!-- model card -->\n", "<!-- end of model card -->"
before, rest = page.read_text(encoding="utf-8").split(start)
after = rest.split(end)[1]
page.write_text(f"{before}{start}```text\n{card}```\n{end}{after}", encoding="utf-8")
PYTHON
