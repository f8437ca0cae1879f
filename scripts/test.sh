#!/usr/bin/env bash
# Sets everything up if needed, then passes all tests.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
cd "$ROOT"
exec "$PYTHON" -m pytest
