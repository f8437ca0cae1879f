#!/usr/bin/env bash
# Market-1501 from photos to scores: the published method and the modern recipe at the same budget.
#
#   scripts/train_market.sh DATA KEYPOINTS_CSV
#
# DATA holds images.tar (or images/), train_pairs.csv and heldout_pairs.csv, rows of two file names;
# KEYPOINTS_CSV is the keypoint CSV of the photos. Everything is written below data/ and runs/.
# Started again, it goes on where it stopped.
#
#   HEIGHT=64 STEPS=8000 SEEDS="0 1 2" scripts/train_market.sh DATA KEYPOINTS_CSV
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

if [[ $# -ne 2 ]]; then
  echo "usage: $0 DATA KEYPOINTS_CSV" >&2
  exit 2
fi
DATA="$(cd "$1" && pwd)"
KEYPOINTS="$(cd "$(dirname "$2")" && pwd)/$(basename "$2")"
HEIGHT="${HEIGHT:-64}"     # 128 is the published size
STEPS="${STEPS:-8000}"     # of stage reconstruction, batches of 8, for both recipes
WIDTH="${WIDTH:-16}"       # base width of the published networks; 128 is theirs
SEEDS="${SEEDS:-0}"
DETECT="${DETECT:-}"       # 1: the pose error, too, by the detector (its models are fetched once)
set_up
cd "$ROOT"

RECORDS="data/market_${HEIGHT}"
PHOTOS=data/market_photos
dpig() { "$PYTHON" -m dpig_tf2.cli.main "$@"; }
step() { echo; echo "== $*"; }

step "1/4 photos"
if [[ -d "$DATA/images" ]]; then
  PHOTOS="$DATA/images"
elif [[ ! -e "$PHOTOS/unpacked" ]]; then
  mkdir -p "$PHOTOS"
  tar -xf "$DATA/images.tar" -C "$PHOTOS" --strip-components=1
  touch "$PHOTOS/unpacked"
fi

step "2/4 records of $HEIGHT x $((HEIGHT / 2))"
# Records that were made of something else would be kept, and their runs gone on with.
made_from="$({ cat "$KEYPOINTS" "$DATA"/{train,heldout}_pairs.csv; ls "$PHOTOS"; } | cksum)"
if [[ -e "$RECORDS/made_from" && "$(cat "$RECORDS/made_from")" != "$made_from" ]] &&
  compgen -G "$RECORDS/*.tfrecord" > /dev/null; then
  echo "error: $RECORDS is of other photos, keypoints or pairs; move it and" \
    "runs/market_${HEIGHT}_* away first" >&2
  exit 2
fi
mkdir -p "$RECORDS"
echo "$made_from" > "$RECORDS/made_from"
for split in train heldout; do
  dpig make_records --raw_dir="$PHOTOS" --keypoints="$KEYPOINTS" --variant=market1501 \
    --pairs_csv="$DATA/${split}_pairs.csv" --split="$split" --noflip --parts=7 \
    --resize=stretch --height="$HEIGHT" --width=$((HEIGHT / 2)) --out_dir="$RECORDS" ||
    [[ $? -eq 1 ]] # some photos left out, which it has said
  # Or nothing was written, which it has said too.
  compgen -G "$RECORDS/*_${split}_*.tfrecord" > /dev/null
done

size=(--set=model.height="$HEIGHT" --set=model.width=$((HEIGHT / 2)))
radius=$((7 * HEIGHT / 128)) # of the published body masks, through which both are scored
small=$((HEIGHT / 16))
for seed in $SEEDS; do
  for recipe in published modern; do
    run="runs/market_${HEIGHT}_${recipe}_${seed}"
    step "3/4 training: $run"
    if [[ $recipe == modern ]]; then
      # What shows of a person beyond the mask would be learned as part of the scene: masks are wide.
      flags=(--preset=modern --jit_compile "${size[@]}" --set=model.mask_radius=$((7 * HEIGHT / 64))
        --set=model.background_embedding=$((12 * HEIGHT)))
    else
      flags=(--preset=synthetic "${size[@]}" --set=model.mask_radius=$radius --set=model.hidden="$WIDTH"
        --set=model.region_size=$((3 * HEIGHT / 8))
        --set=model.discriminator_row=$((128 * small * small / 2)))
    fi
    dpig train "${flags[@]}" --set=reconstruction.batch_size=8 --seed="$seed" \
      --stage=reconstruction --steps="$STEPS" --data_dir="$RECORDS" --run_dir="$run" --cache=memory
    step "4/4 scores: $run"
    # Plain transfer, then with the background that the target photo has itself.
    for pictures in transfer foreground; do
      dpig evaluate --run_dir="$run" --data_dir="$RECORDS" --split=heldout --pictures=$pictures \
        --mask_radius=$radius ${DETECT:+--detect_poses}
    done
  done
done

step "scores of all seeds"
"$PYTHON" scripts/market_table.py runs/market_"${HEIGHT}"_{published,modern}_*
