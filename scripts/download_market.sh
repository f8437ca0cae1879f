#!/usr/bin/env bash
# Fetches the Market-1501 records (or raw archives) to data/market1501 and unpacks them.
#
#   ./scripts/download_market.sh --mirror=URL_OR_FILE [--mirror=...] [--sha256=...]
#
# Mirrors may also stand in DPIG_MARKET1501_MIRRORS, separated by spaces. See data/README.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
exec "$PYTHON" -m dpig_tf2.cli.make_records --download=market1501 \
  --out_dir="$ROOT/data/market1501" "$@"
