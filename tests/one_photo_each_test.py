"""scripts/one_photo_each.py: a photo of each person to learn from, others of these as answers."""

import csv
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image

from dpig_tf2.detection.keypoint_csv import keypoint_csv

_SCRIPT = pathlib.Path(__file__).parents[1] / "scripts" / "one_photo_each.py"


def test_others_of_a_person_are_the_answers(tmp_path):
    photos, known = tmp_path / "photos", {}
    photos.mkdir()
    for person, count in (("0001", 25), ("0002", 3), ("0003", 2), ("0004", 2)):
        for number in range(count):
            name = f"{person}_c{number % 6 + 1}s1_{number:06}.jpg"
            Image.new("RGB", (64, 128)).save(photos / name)
            # Too few keypoints to learn from, but for the last; of the very first for anything.
            visible = 18 if number == count - 1 else 12 if number else 9
            known[name] = np.stack(
                [np.arange(18) + 3, np.arange(18) * 2, np.arange(18) < visible], axis=1
            )
    (tmp_path / "keypoints.csv").write_text(keypoint_csv(known))
    (tmp_path / "identities.txt").write_text("0002\n0001\n0003\n")
    out = tmp_path / "out"
    command = [sys.executable, _SCRIPT, f"--images={photos}", f"--out_dir={out}", "--persons=3"]
    command += [f"--keypoints={tmp_path}/keypoints.csv", f"--identities={tmp_path}/identities.txt"]
    more = subprocess.run([*command, "--persons=4"], check=False, capture_output=True, text=True)
    assert f"--persons=4: only 3 have photos in {photos}" in more.stderr and not out.exists()
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("3 persons, 21 pairs")
    learned = {path.name for path in (out / "learned").iterdir()}
    assert learned == {"0001_c1s1_000024.jpg", "0002_c3s1_000002.jpg", "0003_c2s1_000001.jpg"}
    with (out / "pairs.csv").open() as file:
        pairs = [(row["from"], row["to"]) for row in csv.DictReader(file)]
    assert len(set(pairs)) == 21 and {source for source, _ in pairs} < learned
    assert all(source[:4] == other[:4] and other not in learned for source, other in pairs)
    assert not any(other.endswith("_000000.jpg") for _, other in pairs)
    assert {path.name for path in (out / "all").iterdir()} == learned | {o for _, o in pairs}
