#!/usr/bin/env bash
# Tries damaged files of every kind; arguments: --count=N of each, --kinds=pickle,mat,..., --seed=N.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
cd "$ROOT"
exec "$PYTHON" -m tests.fuzz.run "$@"
