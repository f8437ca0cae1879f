#!/bin/sh
# Fetches the Market-1501 records (or raw archives) and checks them.
#
#   ./scripts/download_market.sh --mirror=URL_OR_FILE [--mirror=...] [--sha256=...]
#
# Mirrors may also stand in DPIG_MARKET1501_MIRRORS, separated by spaces. See data/README.md.
set -eu
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" -m dpig_tf2.cli.make_records --download=market1501 \
    --out_dir=data/market1501 "$@"
