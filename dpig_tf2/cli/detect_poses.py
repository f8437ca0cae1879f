"""Finds persons in photos; writes their keypoints as a CSV.

Examples:
    dpig detect_poses --images=photos --out=keypoints.csv
    dpig detect_poses --images=photos --out=keypoints.csv --sheets=found --limit=40

Of several persons on a photo the CSV holds the largest and most central one; with --persons=all
it holds all, counted in a fourth column. The sheets show all. The CSV may be corrected by hand and
given as --keypoints wherever photos are taken. Exit status 1 if a photo could not be read or no
person was found on it: the CSV then lacks that photo.
"""

import os
import pathlib

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, program

FLAGS = flags.FlagValues()
_IMAGES = flags.DEFINE_string(
    "images", None, "Folder with photos of any size.", required=True, flag_values=FLAGS
)
_OUT = flag_groups.define_out(FLAGS, "CSV file for the keypoints.", required=True)
_POSE_MODEL = person_flags.define_pose_model(FLAGS)
_WANTED = person_flags.define_persons(FLAGS)
_BACKGROUND = person_flags.BackgroundFlag(FLAGS)
_LIMIT = person_flags.define_limit(FLAGS, "photos")
_SHEETS = flag_groups.define_out_dir(
    FLAGS, "Folder for picture sheets of what was found, 24 photos each.", name="sheets"
)

_SHEET_COLUMNS, _SHEET_ROWS = 8, 3


def main() -> int:
    if _SHEETS.value:
        folder, sheets = (pathlib.Path(os.path.realpath(f.value)) for f in (_IMAGES, _SHEETS))
        if sheets.is_relative_to(folder):
            raise program.FlagError(
                f"--sheets={_SHEETS.value}: is in {_IMAGES.value}, where sheets would be taken for "
                "photos",
                field="sheets",
            )
    from dpig_tf2.detection.overlays import overlay
    from dpig_tf2.io.atomic import require_writable
    from dpig_tf2.preparation.photos import list_images, read_all
    from dpig_tf2.progress import Progress

    background = _BACKGROUND.color()
    poses = person_flags.detected_poses(_POSE_MODEL.value, _WANTED.value == "all")
    skipped: list[str] = []
    names = list_images(_IMAGES.value, skipped)[: _LIMIT.value]
    require_writable(_OUT.value)
    progress = Progress("detecting", len(names))
    page, pages = [], 0
    read = read_all(_IMAGES.value, names, skipped, background)
    for number, (name, photo) in enumerate(read, start=1):
        persons = poses.persons(name, photo)
        if not persons:
            skipped.append(f"{pathlib.Path(_IMAGES.value, name)}: no person was found")
        if _SHEETS.value:
            page.append((name, overlay(photo, persons)))
            if len(page) == _SHEET_COLUMNS * _SHEET_ROWS:
                _write_sheet(pages := pages + 1, page)
                page = []
        progress.update(number)
    progress.update(len(names))  # those that could not be read are not counted
    if page:
        _write_sheet(pages + 1, page)
    for reason in skipped:
        program.say(f"skipped: {reason}")
    for line in poses.keep(_OUT.value, len(names)):
        program.say(line)
    return 1 if skipped else 0


def _write_sheet(number, page):
    from dpig_tf2.io.images import save_png
    from dpig_tf2.visual.sheets import labeled_sheet

    # Names differ from row to row, so each row is a sheet of its own.
    path = pathlib.Path(_SHEETS.value, f"poses_{number:03d}.png")
    rows = []
    for i in range(0, len(page), _SHEET_COLUMNS):
        row = page[i : i + _SHEET_COLUMNS]
        row += [("", None)] * (min(len(page), _SHEET_COLUMNS) - len(row))
        labels, pictures = zip(*row, strict=True)
        rows.append([labeled_sheet([pictures], column_labels=labels)])
    save_png(path, labeled_sheet(rows))


if __name__ == "__main__":
    program.run(__name__)
