#!/usr/bin/env bash
# What each part of the modern recipe is worth: the whole of it, and the same without one part, for the
# same number of steps on synthetic persons of 64 x 32. Ends with a table and a sheet of pictures.
#
#   STEPS=500 scripts/recipe_changes.sh
#
# Everything is written to data/changes and runs/changes/STEPS. Started again, it goes on where it
# stopped.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

STEPS="${STEPS:-500}" # of four pairs of photos
set_up
cd "$ROOT"

DATA=data/changes
RUNS=runs/changes/$STEPS
dpig() { "$PYTHON" -m dpig_tf2.cli.main "$@"; }

# A name, and what differs from the whole recipe.
changes() {
  cat << 'CHANGES'
all
all,_another_seed --seed=1
Adam_instead_of_Muon --set=reconstruction.optimizer=adam
no_structure_term --set=recipe.structure_weight=0
structure_term_four_times --set=recipe.structure_weight=0.8
person_weighs_no_more --set=recipe.person_weight=0
no_term_of_the_scene_alone --set=recipe.scene_weight=0
no_cross_answers --set=recipe.cross_answers=false
texels --set=model.texels=true
no_moving_average --set=recipe.weight_average=0
rate_does_not_fall --set=recipe.decay_share=0
CHANGES
  # A step of Adam takes five eighths of one of Muon at this size.
  echo "Adam,_as_much_time --set=reconstruction.optimizer=adam --steps=$((8 * STEPS / 5))"
  echo "2,400_photos_only --nofresh_persons --data_dir=$DATA --cache=memory"
  # The networks of the paper, as in scripts/train_market.sh: another size of the preset of minutes.
  echo "published_networks --preset=synthetic --set=model.height=64 --set=model.width=32" \
    "--set=model.region_size=24 --set=model.discriminator_row=1024 --nojit_compile"
}

finished() { compgen -G "$1" > /dev/null; }

finished "$DATA/synthetic_factors_train.json" || dpig make_synthetic --split=train --out_dir=$DATA \
  --height=64 --width=32 --identities=200 --images_per_identity=12 --pairs_per_image=2
finished "$DATA/synthetic_factors_test.json" || dpig make_synthetic --split=test --out_dir=$DATA \
  --height=64 --width=32 --identities=240 --images_per_identity=2 --pairs_per_image=1

runs=()
while read -r name flags; do
  run="$RUNS/$name"
  runs+=("$run")
  if finished "$run/metrics.json"; then continue; fi
  echo "== $name"
  # shellcheck disable=SC2086  # several flags
  dpig train --preset=modern_64x32 --fresh_persons --jit_compile --stage=reconstruction \
    --set=reconstruction.batch_size=4 --steps="$STEPS" --run_dir="$run" $flags < /dev/null
  dpig evaluate_disentanglement --run_dir="$run" --data_dir=$DATA --noprobes < /dev/null
done < <(changes)

"$PYTHON" scripts/recipe_table.py --data_dir=$DATA --out=$RUNS/changes.png "${runs[@]}"
