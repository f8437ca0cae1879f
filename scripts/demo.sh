#!/usr/bin/env bash
# First pictures from the weights that come along, then the whole path on synthetic persons: records,
# four training stages, scores, pictures, SavedModel. All in about TIME minutes after installation.
# Ctrl-C stops it; run again, it goes on where it stopped and repeats nothing that is finished.
#
#   TIME=12 ./scripts/demo.sh
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

TIME="${TIME:-12}"
if [[ ! "$TIME" =~ ^[1-9][0-9]{0,3}$ ]]; then
  echo "TIME=$TIME: expected whole minutes from 1 to 9999" >&2
  exit 1
fi
set_up
cd "$ROOT"

WEIGHTS=preset:persons_128x64
FIRST=runs/preset-persons_128x64/samples
DATA=data/synthetic
RUN=runs/demo
SECONDS=0 # bash counts it up

left() { echo $((60 * TIME - SECONDS > 0 ? 60 * TIME - SECONDS : 0)); }
counted() { if (($1 == 1)); then echo "1 $2"; else echo "$1 ${2}s"; fi; }
step() {
  local minutes=$((($(left) + 59) / 60))
  echo
  if ((minutes)); then echo "== $* (at most $(counted $minutes minute) left)"; else echo "== $* (TIME=$TIME is over)"; fi
}
dpig() { "$PYTHON" -m dpig_tf2.cli.main "$@"; }

# What a command says, but the JSON that its file holds too.
briefly() { "$@" | while IFS= read -r line; do [[ "$line" == [\ {}]* ]] || echo "$line"; done; }

# Runs a command unless the file that it ends with is there.
unless() {
  if compgen -G "$1" > /dev/null; then echo "finished: $1"; else "${@:2}"; fi
}

stopped() {
  local status=$?
  [[ $status == 0 ]] || echo "stopped; what is finished stays, and $0 goes on from there"
}
trap stopped EXIT

step "1/7 first pictures, from the weights that come along"
unless data/first/synthetic_factors_test.json dpig make_synthetic --split=test \
  --out_dir=data/first --height=128 --width=64 --identities=8 --images_per_identity=2 --pairs_per_image=1
unless "$FIRST/overview/sheets/*" dpig overview --run_dir=$WEIGHTS --data_dir=data/first
unless "$FIRST/disentanglement.png" dpig evaluate_disentanglement --run_dir=$WEIGHTS \
  --data_dir=data/first --limit=8 --noprobes > /dev/null
echo "look at"
echo "  $ROOT/$FIRST/overview/sheets/overview.png   re-posed, and each factor sampled"
echo "  $ROOT/$FIRST/disentanglement.png   each factor exchanged, beside the true pictures"
echo "or try it in the browser: $ROOT/.venv/bin/dpig page, then open http://localhost:7860"

step "2/7 synthetic records"
unless "$DATA/synthetic_factors_train.json" dpig make_synthetic --split=train --out_dir=$DATA \
  --height=64 --width=32 --identities=200 --images_per_identity=12 --pairs_per_image=2
unless "$DATA/synthetic_factors_test.json" dpig make_synthetic --split=test --out_dir=$DATA \
  --height=64 --width=32 --identities=240 --images_per_identity=2 --pairs_per_image=1

step "3/7 training, four stages"
# Most of the time that is left; a third of all time is kept for what comes after it. A stage that
# would take longer than its share does fewer steps.
SHARE=$(($(left) - 20 * TIME > 60 ? $(left) - 20 * TIME : 60)) # seconds
minutes() { printf '%d.%02d' $((SHARE * $1 / 6000)) $((SHARE * $1 / 60 % 100)); }
dpig train --preset=modern_64x32 --data_dir=$DATA --run_dir=$RUN \
  --cache=memory --minutes="$(minutes 64),$(minutes 12),$(minutes 12),$(minutes 12)"

# What too few steps make of it. The looks and places of untrained mapping networks are fair ones.
while read -r stage result; do
  checkpoints=("$RUN/checkpoints/$stage"/step-*.npz)
  steps="${checkpoints[-1]##*step-}"
  steps=$((10#${steps%.npz}))
  if ((steps < 200)); then
    echo "note: in $(counted "$TIME" minute) there was time for $(counted $steps step) of $stage only: $result"
  fi
done << 'STAGES'
reconstruction pictures will be gray
pose sampled poses will be tangled
pose_mapping sampled poses will be tangled
STAGES

step "4/7 scores on held-out persons against true renders"
unless "$RUN/metrics.json" briefly dpig evaluate_disentanglement --run_dir=$RUN --data_dir=$DATA

step "5/7 picture sheet"
unless "$RUN/samples/overview/sheets/*" dpig overview --run_dir=$RUN --data_dir=$DATA

step "6/7 SavedModel"
unless "$RUN/saved_model/*/saved_model.pb" dpig export --run_dir=$RUN --out_dir=$RUN/saved_model

echo; echo "== 7/7 done; look at"
echo "  pictures      $ROOT/$RUN/samples/overview/sheets/overview.png"
echo "                $ROOT/$RUN/samples/disentanglement.png"
echo "  scores        $ROOT/$RUN/metrics.json"
echo "  SavedModel    $(ls -d "$ROOT/$RUN"/saved_model/*/ | tail -1)"
echo "  TensorBoard   $ROOT/.venv/bin/tensorboard --logdir $ROOT/$RUN/logs"
