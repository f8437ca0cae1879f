#!/usr/bin/env bash
# Sets everything up if needed, then passes all tests: two files at a time, because tracing
# TensorFlow graphs keeps one core busy. Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
cd "$ROOT"
exec "$PYTHON" -m pytest -m "" --numprocesses=2 --dist=loadfile "$@"
