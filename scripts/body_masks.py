"""Shows what --body_mask changes, on synthetic persons: prints figures and draws a sheet.

.venv/bin/python scripts/body_masks.py --run_dir=runs/demo --out=docs/body_masks.png
"""

import argparse

import numpy as np
from PIL import Image

from dpig_tf2 import PersonSampler, synthetic
from dpig_tf2.detection.detector import PoseDetector
from dpig_tf2.io.images import save_png
from dpig_tf2.preparation import photos
from dpig_tf2.visual.sheets import labeled_sheet

_SCALE = 4  # of the photos, in sizes of the model's images
_SHOWN = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run_dir", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--pose_model")
    parser.add_argument("--persons", type=int, default=100)
    flags = parser.parse_args()
    sampler = PersonSampler.load(flags.run_dir)
    size = sampler.config.model.height, sampler.config.model.width
    drawn_persons = synthetic.make_images(7, flags.persons, 1)
    persons, found = _found(drawn_persons, PoseDetector.load(flags.pose_model), size)
    images, keypoints, masks = (np.stack(values) for values in zip(*found, strict=True))
    others = np.roll(np.arange(len(persons)), -1)
    truth = np.stack(
        [
            synthetic.render(one.foreground, persons[other].background, one.pose, *size)
            for one, other in zip(persons, others, strict=True)
        ]
    )
    bodies = np.stack([synthetic.foreground_mask(p.foreground, p.pose, *size) for p in persons])
    choices = {
        "keypoints": sampler.model.body_mask(keypoints).numpy(),
        "detected": masks,
    }
    columns = {"photo": images}
    for name, mask in choices.items():
        codes = sampler.person_codes(images, keypoints, body_mask=mask)
        elsewhere = codes.replace(background=codes.background[others])
        again, moved = sampler.draw(codes).images, sampler.draw(elsewhere).images
        columns |= {
            f"{name}: person": np.where(mask > 0, images, 128),
            f"{name}: place": np.where(mask > 0, 128, images),
            f"{name}: again": again,
            f"{name}: next one's place": moved,
        }
        print(
            f"{name}: {_figures(mask[..., 0] > 0, bodies)}; L1 {_l1(again, images):.4f} again, "
            f"{_l1(moved, truth):.4f} in the next one's place"
        )
    columns["true picture there"] = truth
    rows = [[picture[i].astype(np.uint8) for picture in columns.values()] for i in range(_SHOWN)]
    save_png(flags.out, labeled_sheet(rows, column_labels=list(columns), scale=2))


def _found(drawn_persons, detector, size):
    """The persons who are found, with image, keypoints and mask in the model's pixels."""
    large = _SCALE * size[0], _SCALE * size[1]
    place = photos.place(large, size, "stretch")
    persons, found = [], []
    for person in drawn_persons:
        photo = synthetic.render(person.foreground, person.background, person.pose, *large)
        seen = detector.detect([photo])[0]
        if seen and seen[0].keypoints[:, 2].any():
            image = photos.Photo(Image.fromarray(photo), True).placed(place)
            persons.append(person)
            found.append((image, place.keypoints(seen[0].keypoints), place.mask(seen[0].mask)))
    print(f"{len(persons)} of {len(drawn_persons)} persons were found")
    return persons, found


def _figures(masks, bodies):
    common = (masks & bodies).sum()
    return (
        f"overlap with the true outline {common / (masks | bodies).sum():.2f}, "
        f"{1 - common / masks.sum():.0%} of the mask is background, "
        f"{1 - common / bodies.sum():.0%} of the person is outside"
    )


def _l1(images, others):
    return np.abs(images.astype(float) - others).mean() / 255


if __name__ == "__main__":
    main()
