#!/usr/bin/env bash
# The figures of a preset of weights: its networks on 500 synthetic persons who were never trained on.
#
#   scripts/preset_figures.sh runs/persons
#
# The scores go to metrics.json in the run folder, from where `dpig pack_preset` puts them on the
# model card. About a quarter of an hour on two cores.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

if [[ $# -ne 1 || ! -f "$1/config.json" ]]; then
  echo "usage: $0 RUN_FOLDER" >&2
  exit 2
fi
RUN="$(cd "$1" && pwd)"
set_up
cd "$ROOT"
DATA=data/synthetic_128x64
PHOTOS="$RUN/samples/true_renders"
dpig() { "$PYTHON" -m dpig_tf2.cli.main "$@"; }

dpig make_synthetic --split=test --out_dir="$DATA" --height=128 --width=64 \
  --identities=500 --images_per_identity=2 --pairs_per_image=1
rm -rf "$PHOTOS" # of an earlier go
dpig evaluate_disentanglement --run_dir="$RUN" --data_dir="$DATA" --limit=500
dpig evaluate --run_dir="$RUN" --data_dir="$DATA" --limit=500 --protocol=tf --pictures=reconstruct
dpig evaluate --run_dir="$RUN" --data_dir="$DATA" --limit=500 --protocol=tf --detect_poses \
  --save_pictures="$PHOTOS"
# What the detector finds in the true renders themselves.
dpig evaluate --generated="$PHOTOS/target" --target="$PHOTOS/target" --detect_poses \
  --target_keypoints="$PHOTOS/target_keypoints.csv" --out="$RUN/true_renders.json"
