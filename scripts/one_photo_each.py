"""Photos to personalize with, one of each of some persons, and pairs with all their other photos.

.venv/bin/python scripts/one_photo_each.py --images=PHOTOS --keypoints=KEYPOINTS_CSV \
  --identities=heldout_identities.txt --out_dir=data/one_photo

Whoever learns from one photo of a person can be asked for the others: the same person in another
pose, to which there is a true answer. Names of photos begin with the identity, as in Market-1501.
Written are `learned/` with a photo of each person, `all/` with these and the others, and
`pairs.csv` from each to up to 20 others.
"""

import argparse
import pathlib
import random
import shutil

from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv

_LEARNED, _OTHERS = 15, 10  # keypoints that are visible, at least
_MOST_OTHERS = 20  # of one person


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True, type=pathlib.Path)
    parser.add_argument("--keypoints", required=True)
    parser.add_argument("--identities", required=True, type=pathlib.Path)
    parser.add_argument("--out_dir", required=True, type=pathlib.Path)
    parser.add_argument("--persons", type=int, default=18)
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    names, keypoints = read_keypoint_csv(flags.keypoints)
    visible = dict(zip(names, keypoints[..., 2].sum(axis=1), strict=True))
    photos = {identity: [] for identity in sorted(flags.identities.read_text().split())}
    for path in sorted(flags.images.glob("*.jpg")):
        identity = path.name.partition("_")[0]
        if identity in photos and visible.get(path.name, 0) >= _OTHERS:
            photos[identity].append(path)
    photos = {identity: paths for identity, paths in photos.items() if paths}
    if len(photos) < flags.persons:
        parser.error(f"--persons={flags.persons}: only {len(photos)} have photos in {flags.images}")
    draw = random.Random(flags.seed)
    rows = ["from,to"]
    for folder in ("learned", "all"):
        (flags.out_dir / folder).mkdir(parents=True)
    for identity in draw.sample(sorted(photos), flags.persons):
        paths = photos[identity]
        learned = draw.choice([p for p in paths if visible[p.name] >= _LEARNED] or paths)
        others = [path for path in paths if path != learned]
        draw.shuffle(others)
        shutil.copy(learned, flags.out_dir / "learned")
        for path in [learned, *others[:_MOST_OTHERS]]:
            shutil.copy(path, flags.out_dir / "all")
        rows += [f"{learned.name},{path.name}" for path in others[:_MOST_OTHERS]]
    (flags.out_dir / "pairs.csv").write_text("\n".join([*rows, ""]))
    print(f"{flags.persons} persons, {len(rows) - 1} pairs in {flags.out_dir}")


if __name__ == "__main__":
    main()
