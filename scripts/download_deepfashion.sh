#!/usr/bin/env bash
# Fetches the DeepFashion records (or raw archives) to data/deepfashion and unpacks them.
#
#   ./scripts/download_deepfashion.sh --mirror=URL_OR_FILE [--mirror=...] [--sha256=...]
#
# Mirrors may also stand in DPIG_DEEPFASHION_MIRRORS, separated by spaces. See data/README.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
exec "$PYTHON" -m dpig_tf2.cli.make_records --download=deepfashion \
  --out_dir="$ROOT/data/deepfashion" "$@"
