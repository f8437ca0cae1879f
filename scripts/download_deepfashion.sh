#!/bin/sh
# Fetches the DeepFashion records (or raw archives) and checks them.
#
#   ./scripts/download_deepfashion.sh --mirror=URL_OR_FILE [--mirror=...] [--sha256=...]
#
# Mirrors may also stand in DPIG_DEEPFASHION_MIRRORS, separated by spaces. See data/README.md.
set -eu
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" -m dpig_tf2.cli.make_records --download=deepfashion \
    --out_dir=data/deepfashion "$@"
