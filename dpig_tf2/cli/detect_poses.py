"""Finds persons in photos; writes their keypoints, and pictures of them to look at.

Examples:
  python -m dpig_tf2.cli.detect_poses --images=photos --out=keypoints.csv
  python -m dpig_tf2.cli.detect_poses --images=photos --out=keypoints.csv --sheets=found --limit=40

Of several persons on a photo the CSV holds the largest and most central one; the sheets show all.
The CSV may be corrected by hand and given wherever keypoints are taken. Exit status 1 if a photo
could not be read or no person was found on it: the CSV then lacks that photo.
"""

import pathlib

from absl import flags

from dpig_tf2.cli.flags import run_program

_IMAGES = flags.DEFINE_string("images", None, "Folder with photos of any size.", required=True)
_OUT = flags.DEFINE_string("out", None, "CSV file to write.", required=True)
_POSE_MODEL = flags.DEFINE_string(
    "pose_model",
    None,
    "A .task bundle or the folder of the two .tflite files. Default: what DPIG_POSE_MODEL names, "
    "else what was downloaded.",
)
_LIMIT = flags.DEFINE_integer("limit", None, "Only the first photos by name.", lower_bound=1)
_SHEETS = flags.DEFINE_string(
    "sheets", None, "Folder for picture sheets of what was found, 24 photos each."
)

_SHEET_COLUMNS, _SHEET_ROWS = 8, 3
_SHOWN_REASONS = 10


def main(_):
    from dpig_tf2.detection.detector import PoseDetector, main_person
    from dpig_tf2.detection.keypoint_csv import write_keypoint_csv
    from dpig_tf2.detection.overlays import overlay
    from dpig_tf2.detection.photo_files import read_photos
    from dpig_tf2.preparation.photos import list_images
    from dpig_tf2.progress import Progress

    detector = PoseDetector.load(_POSE_MODEL.value)
    names = list_images(_IMAGES.value)[: _LIMIT.value]
    progress = Progress("detecting", len(names))
    keypoints, skipped, page, several = {}, [], [], 0
    pages = 0
    for number, (name, photo) in enumerate(read_photos(_IMAGES.value, names, skipped), start=1):
        persons = detector.detect([photo])[0]
        if persons:
            keypoints[name] = main_person(persons).keypoints
            several += len(persons) > 1
        else:
            skipped.append(f"{pathlib.Path(_IMAGES.value, name)}: no person was found")
        if _SHEETS.value:
            page.append((name, overlay(photo, persons)))
            if len(page) == _SHEET_COLUMNS * _SHEET_ROWS:
                _write_sheet(pages := pages + 1, page)
                page = []
        progress.update(number)
    if page:
        _write_sheet(pages + 1, page)
    write_keypoint_csv(_OUT.value, keypoints)
    print(f"persons were found on {len(keypoints)} of {len(names)} photos: {_OUT.value}")
    if several:
        print(f"{several} photos show several persons; the largest and most central one was taken")
    for reason in skipped[:_SHOWN_REASONS]:
        print(f"skipped: {reason}")
    if len(skipped) > _SHOWN_REASONS:
        print(f"skipped: {len(skipped) - _SHOWN_REASONS} more")
    return 1 if skipped else 0


def _write_sheet(number, page):
    from dpig_tf2.visual.sheets import labelled_sheet, save_png

    blocks = [page[i : i + _SHEET_COLUMNS] for i in range(0, len(page), _SHEET_COLUMNS)]
    # Names differ from row to row, so each row is a sheet of its own.
    rows = []
    for row in blocks:
        empty = [("", None)] * (len(blocks[0]) - len(row))
        labels, pictures = zip(*row, *empty, strict=True)
        rows.append([labelled_sheet([pictures], column_labels=labels)])
    save_png(pathlib.Path(_SHEETS.value, f"poses_{number:03d}.png"), labelled_sheet(rows))


def run():
    run_program("dpig-detect-poses", main)


if __name__ == "__main__":
    run()
