#!/usr/bin/env bash
# Sets everything up if needed, then passes all tests: two files at a time with one thread each, because
# tracing TensorFlow graphs keeps one core busy. Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
cd "$ROOT"
export TF_NUM_INTRAOP_THREADS="${TF_NUM_INTRAOP_THREADS:-1}"
exec "$PYTHON" -m pytest -m "" --numprocesses=2 --dist=loadfile "$@"
