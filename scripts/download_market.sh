#!/usr/bin/env bash
# Fetches the published Market-1501 records to data/market1501 and unpacks them there.
#
#   ./scripts/download_market.sh [--archive=train|test|raw ...] [--mirror=URL_OR_FILE ...]
#
# Without --archive: train and test. The release's host may have gone; mirrors are tried first and
# may also stand in DPIG_MARKET1501_MIRRORS, separated by spaces. See data/README.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
exec "$PYTHON" -m dpig_tf2.cli.download market1501 \
  --out_dir="$ROOT/data/market1501" "$@"
