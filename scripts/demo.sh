#!/usr/bin/env bash
# The whole path on synthetic persons: records, four training stages, scores, pictures, SavedModel.
# Run again, it continues where it stopped and does not repeat what is finished.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up
cd "$ROOT"

DATA=data/synthetic
RUN=runs/demo
step() { echo; echo "== $*"; }

step "1/6 synthetic records"
"$PYTHON" -m dpig_tf2.cli.make_synthetic --split=train --out_dir="$DATA" \
  --identities=200 --images_per_identity=12 --pairs_per_image=2
"$PYTHON" -m dpig_tf2.cli.make_synthetic --split=test --out_dir="$DATA" \
  --identities=240 --images_per_identity=2 --pairs_per_image=1

step "2/6 training, four stages"
"$PYTHON" -m dpig_tf2.cli.train --preset=synthetic --data_dir="$DATA" --run_dir="$RUN" \
  --cache=memory

step "3/6 scores on held-out persons against true renders"
if grep -qs '"disentanglement"' "$RUN/metrics.json"; then
  echo "finished: $RUN/metrics.json"
else
  "$PYTHON" -m dpig_tf2.cli.evaluate_disentanglement --run_dir="$RUN" --data_dir="$DATA"
fi

step "4/6 picture sheet"
"$PYTHON" -m dpig_tf2.cli.overview --run_dir="$RUN" --data_dir="$DATA"

step "5/6 SavedModel"
if compgen -G "$RUN/saved_model/*/saved_model.pb" > /dev/null; then
  echo "finished: $RUN/saved_model"
else
  "$PYTHON" -m dpig_tf2.cli.export --run_dir="$RUN" --out_dir="$RUN/saved_model"
fi

step "6/6 done; look at"
echo "  pictures      $ROOT/$RUN/samples/overview/sheets/overview.png"
echo "                $ROOT/$RUN/samples/disentanglement.png"
echo "  scores        $ROOT/$RUN/metrics.json"
echo "  SavedModel    $(ls -d "$ROOT/$RUN"/saved_model/*/ | tail -1)"
echo "  TensorBoard   $ROOT/.venv/bin/tensorboard --logdir $ROOT/$RUN/logs"
