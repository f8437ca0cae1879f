#!/usr/bin/env bash
# Fetches the published DeepFashion records to data/deepfashion and unpacks them there.
#
#   ./scripts/download_deepfashion.sh [--archive=train|test|raw ...] [--mirror=URL_OR_FILE ...]
#
# Without --archive: train and test. The release's host may have gone; mirrors are tried first and
# may also stand in DPIG_DEEPFASHION_MIRRORS, separated by spaces. See data/README.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
exec "$PYTHON" -m dpig_tf2.cli.download deepfashion \
  --out_dir="$ROOT/data/deepfashion" "$@"
