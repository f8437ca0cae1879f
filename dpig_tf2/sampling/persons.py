"""Named photos with keypoints: what the sampling tasks work on."""

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from dpig_tf2.detection.crops import Crop
from dpig_tf2.errors import DpigError, shown
from dpig_tf2.preparation import photos


@dataclasses.dataclass(frozen=True)
class Place:
    """Where in which photo, with what behind transparent pixels, a person was cut out."""

    photo: pathlib.Path
    crop: Crop
    background: photos.Color = photos.GRAY

    def as_json(self) -> dict[str, object]:
        """JSON values: the photo, and the rectangle in its pixels."""
        crop = self.crop
        rectangle = {key: getattr(crop, key) for key in ("top", "left", "rows", "columns")}
        return {"photo": self.photo.name, **rectangle}

    def paste(self, picture: np.ndarray) -> np.ndarray:
        """The photo with a picture uint8 [crop.height, crop.width, 3] in the person's place."""
        return self.crop.paste(np.asarray(photos.read(self.photo, self.background).image), picture)


@dataclasses.dataclass(frozen=True)
class Persons:
    """Persons, or poses alone if there are no images.

    Attributes:
        names: one for each person, fit to be a file name, without ending; unique in a data set.
        keypoints: float32 [N, 18, 3], pixels of the model's image size.
        images: uint8 [N, H, W, 3]; None for poses alone.
        identities: who each person is, "" where unknown.
        parts: body_mask, part_boxes, part_visibility as the records hold them; may be empty.
        places: where each person was cut out; empty where none was.
    """

    names: tuple[str, ...]
    keypoints: np.ndarray
    images: np.ndarray | None = None
    identities: tuple[str, ...] = ()
    parts: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    places: tuple[Place, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def position(self, name: str) -> int:
        """Where a person is.

        Raises:
            DpigError: if no person has this name; the message gives known ones.
        """
        if name not in self.names:
            some = ", ".join(self.names[:8]) + (", ..." if len(self) > 8 else "")
            raise DpigError(f"no person is called {name!r}; there are {some}", field=name)
        return self.names.index(name)

    def require_images(self) -> np.ndarray:
        """The images, uint8 [N, H, W, 3].

        Raises:
            DpigError: if these are poses alone.
        """
        if self.images is None:
            raise DpigError("expected persons with images, got poses alone", field="images")
        return self.images

    def take(self, rows: Sequence[int] | np.ndarray) -> "Persons":
        """The persons at these positions, in this order."""
        chosen = list(rows)
        return Persons(
            tuple(self.names[i] for i in chosen),
            self.keypoints[chosen],
            None if self.images is None else self.images[chosen],
            tuple(self.identities[i] for i in chosen) if self.identities else (),
            {key: values[chosen] for key, values in self.parts.items()},
            tuple(self.places[i] for i in chosen) if self.places else (),
        )


def concatenate(batches: Iterable[Persons]) -> Persons:
    """All persons of batches of the same kind.

    Raises:
        DpigError: if there is none.
    """
    batches = list(batches)
    if not sum(map(len, batches)):
        raise DpigError("no usable person was found")
    first = batches[0]
    return Persons(
        tuple(name for batch in batches for name in batch.names),
        np.concatenate([batch.keypoints for batch in batches]),
        None
        if first.images is None
        else np.concatenate([batch.require_images() for batch in batches]),
        tuple(identity for batch in batches for identity in batch.identities),
        {key: np.concatenate([batch.parts[key] for batch in batches]) for key in first.parts},
        tuple(place for batch in batches for place in batch.places),
    )


LONGEST_NAME = 80


class Namer:
    """Gives each image a name that is unique and fit to be a file name, whoever named it.

    Args:
        kept: {image: its name} of earlier runs, which `keep` gives again and adds to.
        longest: bytes of a name before its number. Files are named by two persons and what was
            done with them, in 255 bytes.
    """

    def __init__(self, kept: dict[str, str] | None = None, longest: int = LONGEST_NAME):
        self._kept = {} if kept is None else kept
        self._longest = longest
        self._used = set(self._kept.values())

    def keep(self, image: str, source: str) -> str:
        """The name of an image, the same whenever it is asked for: at first `name(source)`."""
        if image not in self._kept:
            self._kept[image] = self.name(source)
        return self._kept[image]

    def name(self, source: str, otherwise: str | None = None) -> str:
        """`photos/a b.jpg` -> `photos_a b`; a name that was given before gets -2, -3, ...

        A long one is cut.

        Args:
            source: path or name; of what cannot be printed there is a _ for each character.
            otherwise: taken where nothing of the source can be in a name.

        Raises:
            DpigError: if nothing can, and there is no other.
        """
        path = pathlib.PurePosixPath(source.replace("\\", "/"))
        parts = [part.strip("/") for part in (*path.parent.parts, path.stem)]  # "//" may be one
        stem = "_".join(part for part in parts if part not in ("", "..", "."))
        stem = "".join(c if c.isprintable() else "_" for c in stem) or otherwise
        if not stem:
            raise DpigError(f"{shown(source)} is no name")
        stem = stem.encode()[: self._longest].decode(errors="ignore")  # no half of a character
        name, number = stem, 1
        while name in self._used:
            number += 1
            name = f"{stem}-{number}"
        self._used.add(name)
        return name
