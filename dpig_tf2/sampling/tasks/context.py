"""What all tasks share: sampler and output, missing files, sheets."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dpig_tf2.errors import shown
from dpig_tf2.io.manifests import OutputError
from dpig_tf2.sampling.output_folder import Cell, Item, OutputFolder
from dpig_tf2.sampling.person_codes import PersonCodes, Samples
from dpig_tf2.sampling.persons import Persons, Place
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.visual.skeletons import pose_picture

ROWS_PER_SHEET = 16
_IN_PHOTO = "in_photo"  # folder of the photos with pictures put back


@dataclasses.dataclass(frozen=True)
class Context:
    """What every task works with.

    Attributes:
        sampler: the trained networks.
        output: where the files go.
        report: called with (label, done, total) as work goes on.
        max_sheets: sheets drawn at most.
        paste_back: put pictures of persons who were cut out back into their photos.
    """

    sampler: PersonSampler
    output: OutputFolder
    report: Callable[[str, int, int], None]
    max_sheets: int = 10
    paste_back: bool = False

    def skeleton(self, keypoints) -> np.ndarray:
        """Drawing of a pose, uint8 [H, W, 3]."""
        model = self.sampler.config.model
        return pose_picture(keypoints, model.height, model.width)


def generate_missing(
    context: Context,
    files: Sequence[str],
    made_from: Sequence[Mapping],
    codes_of: Callable[[list[int]], PersonCodes],
    places: Sequence[Place] = (),
) -> None:
    """Draws the files that are not finished, and puts them back into their photos if asked to.

    Args:
        context: sampler and output.
        files: names.
        made_from: how each file comes about.
        codes_of: positions in `files` -> codes of these persons; not called if all are finished.
        places: where the person of each file was cut out, if persons were.

    Raises:
        OutputError: if a file of that name is finished, or another one of these, that came about
            in another way.
    """
    seen: dict[str, Mapping] = {}
    for file, wanted in zip(files, made_from, strict=True):
        finished = context.output.made_from(file) if context.output.has(file) else wanted
        there = seen.setdefault(file, finished)
        for key in wanted:
            if there.get(key, wanted[key]) != wanted[key]:
                raise OutputError(
                    f"{file} would be two pictures, with {key} {shown(there[key])} and "
                    f"{shown(wanted[key])}: rename a photo, or choose another --out_dir",
                    file=context.output.path / file,
                    field=key,
                )
    missing = context.output.missing(files)
    size = context.sampler.batch_size
    for start in range(0, len(missing), size):
        rows = missing[start : start + size]
        codes = codes_of(rows)
        samples = context.sampler.draw(codes)
        for i, row in enumerate(rows):
            facts = dict(made_from[row])
            if places:
                facts["cut_out"] = places[row].as_json()
            if places and context.paste_back:
                # Before its picture, whose entry says that all is done.
                pasted = places[row].paste(samples.images[i])
                context.output.add_picture(f"{_IN_PHOTO}/{files[row]}", pasted, facts)
            kept = kept_arrays(codes, samples, i)
            context.output.add(Item(files[row], facts, samples.images[i], kept))


def kept_arrays(codes: PersonCodes, samples: Samples, row: int) -> dict[str, np.ndarray]:
    """What is kept beside a picture: the codes of the person, and the keypoints drawn."""
    kept = {name: values[row] for name, values in codes.as_arrays().items()}
    return kept | {"keypoints": samples.keypoints[row]}


class Pages:
    """Rows of pictures, cut into sheets; a sheet that is already there is not drawn again.

    Args:
        context: output and number of sheets.
        columns: labels.
        rows: rows of a sheet.
        headers: label and pictures of each row above the others on every sheet.
        name: of the sheets, before their number; different in a task that draws several kinds.
    """

    def __init__(
        self,
        context: Context,
        columns: Sequence[str],
        rows: int = ROWS_PER_SHEET,
        headers: Sequence[tuple[str, Sequence[Cell]]] = (),
        name: str = "sheet",
    ):
        self._context, self._columns, self._rows_per_page = context, list(columns), rows
        self._headers, self._name = headers, name
        self._number = 0
        self._labels: list[str] = []
        self._rows: list[Sequence[Cell]] = []

    def add(self, label: str, row: Sequence[Cell]) -> None:
        if self._number >= self._context.max_sheets:
            return
        self._labels.append(label)
        self._rows.append(row)
        if len(self._rows) == self._rows_per_page:
            self.close()

    def close(self) -> None:
        """Draws what has not been drawn yet."""
        if not self._rows:
            return
        labels, rows = zip(*self._headers, *zip(self._labels, self._rows, strict=True), strict=True)
        name = f"{self._name}_{self._number:03d}"
        self._context.output.add_sheet(name, rows, labels, self._columns)
        self._number += 1
        self._labels, self._rows = [], []


def encode(sampler: PersonSampler, persons: Persons) -> PersonCodes:
    """Persons with images as codes."""
    return sampler.person_codes(persons.require_images(), persons.keypoints, **persons.parts)
