"""Which photo a name in a keypoint file means."""

import collections
import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator

from dpig_tf2.preparation.keypoint_formats.model import Entry, KeypointsError, shown

KEPT = "appears twice, the first one is kept"

_OPENPOSE = "_keypoints"  # what OpenPose adds to the name of the photo
# A photo of DeepFashion In-shop: img/WOMEN/Dresses/id_00000203/03_1_front.jpg, which published
# lists write fashionWOMENDressesid0000020303_1front.jpg.
_IN_SHOP = re.compile(r"(?:.*[/.])?(?:img|fashion)?/?((?:WO)?MEN/?.*id_?\d{8}.*)", re.DOTALL)
_LONGEST_IN_SHOP = 300  # characters; longer names only take time
_LAST_NUMBER = re.compile(r"(\d+)\D*$")


class PhotoNames:
    """The photos that keypoints are wanted for; none: whatever a file names.

    Names may be paths. Two photos of one name in different folders are two photos: a name means the
    photo with which it shares the longest path, if all of the shorter path is shared; composed and
    decomposed letters (NFC, NFD) and both kinds of slashes are the same. A keypoint file's own name
    may be any if there is one photo and one entry; with `any_name` so may a name in the file.
    """

    def __init__(self, names: Iterable[str], any_name: bool = False):
        self.names = list(names)
        self._any_name = any_name
        self._by_name = collections.defaultdict(_Namesakes)
        self._by_stem = collections.defaultdict(_Namesakes)
        self._by_number: dict[int, list[str]] = {}
        self._by_in_shop: dict[str | None, list[str]] = {}
        for name in self.names:
            last = parts(name)[-1]
            self._by_in_shop.setdefault(in_shop_name(name), []).append(name)
            self._by_name[last].names.append(name)
            self._by_stem[_stem(last)].names.append(name)
            number = _LAST_NUMBER.search(_stem(last))
            if number and len(number.group(1)) < 20:
                self._by_number.setdefault(int(number.group(1)), []).append(name)

    def of_number(self, number: int) -> str | None:
        """The only photo whose name ends in that number."""
        found = self._by_number.get(number, ())
        return found[0] if len(found) == 1 else None

    def in_order(self, count: int, stem: str) -> list[str]:
        """Photos for frames that have no names: one after the other, 2.jpg before 10.jpg.

        Raises:
            KeypointsError: if there are more or fewer photos than frames.
        """
        if not self.names:
            return [f"{stem}_{i}" for i in range(count)]
        if len(self.names) != count:
            raise KeypointsError(
                f"{count} frames without names for {len(self.names)} photos; give one file for "
                "each photo, named after it"
            )
        return sorted(self.names, key=_natural)

    def assign(self, entries: Iterable[Entry], problems: list[str]) -> Iterator[tuple[str, Entry]]:
        """(name of the photo, entry), one entry for each photo.

        Entries that mean no photo keep their own name; those that cannot be told apart are reported
        and left out.
        """
        entries = list(entries)
        alone = self._name_alone(entries)
        claims: dict[str, list[Entry]] = {}
        for entry in entries:
            found = self.names if entry.name == alone else self._photos(entry)
            if len(found) > 1:
                choices = " and ".join(found[:3])
                problems.append(f"{entry.place}: {shown(entry.name)} may mean {choices}, left out")
                continue
            claims.setdefault(found[0] if found else self._own(entry), []).append(entry)
        for name, claimed in claims.items():
            claimed = [entry for entry in claimed if entry.people is not None] or claimed
            if len({parts(entry.name) for entry in claimed}) > 1:
                shared = [_shared(parts(name), parts(entry.name)) for entry in claimed]
                claimed = [e for e, n in zip(claimed, shared, strict=True) if n == max(shared)]
            if len({parts(entry.name) for entry in claimed}) > 1:
                choices = " and ".join(shown(entry.name) for entry in claimed[:3])
                problems.append(f"{claimed[0].place}: {choices} may both mean {name}, left out")
                continue
            problems += [f"{entry.place}: {shown(name)} {KEPT}" for entry in claimed[1:]]
            yield name, claimed[0]

    def _name_alone(self, entries):
        """The name that means the only photo, whatever it is; None if names are to be compared."""
        if len(self.names) != 1:
            return None
        if len(entries) == 1 and entries[0].from_file:
            return entries[0].name
        told = {entry.name for entry in entries if entry.people}
        return told.pop() if self._any_name and len(told) == 1 else None

    def _own(self, entry):
        return entry.name.removesuffix(_OPENPOSE) if entry.from_file else entry.name

    def _photos(self, entry):
        """The photos that an entry may mean."""
        wanted = parts(entry.name)
        if not wanted:
            return []
        *folders, last = wanted
        ways = [self._by_name.get(last)]
        if not entry.exact:
            ways += [self._by_stem.get(last if entry.from_file else _stem(last))]
        if entry.from_file:
            plain = last.removesuffix(_OPENPOSE)
            ways += [self._by_name.get(plain), self._by_stem.get(plain)]
        for namesakes in filter(None, ways):
            if found := namesakes.of(tuple(folders)):
                return found
        in_shop = in_shop_name(entry.name)
        return self._by_in_shop.get(in_shop, []) if in_shop else []


class _Namesakes:
    """Photos of one last name, or one stem, which their folders tell apart."""

    def __init__(self):
        self.names: list[str] = []

    def of(self, folders: tuple[str, ...]) -> list[str]:
        """Those that share the longest path with these folders and all of the shorter path."""
        # The same folders all the way come before a shared part of the way.
        if found := self._in.get(folders) or self._below.get(folders):
            return found
        for start in range(max(1, len(folders) - self._deepest), len(folders) + 1):
            if found := self._in.get(folders[start:]):
                return found
        return []

    @functools.cached_property
    def _in(self):
        """By all of their folders."""
        found = collections.defaultdict(list)
        for name in self.names:
            found[parts(name)[:-1]].append(name)
        return found

    @functools.cached_property
    def _below(self):
        """By the last of their folders, however many, but for all of them."""
        found = collections.defaultdict(list)
        for name in self.names:
            folders = parts(name)[:-1]
            for start in range(1, len(folders) + 1):
                found[folders[start:]].append(name)
        return found

    @functools.cached_property
    def _deepest(self):
        return max(map(len, self._in))


def in_shop_name(name: str) -> str | None:
    """What both spellings of the name of a DeepFashion In-shop photo share; None for others."""
    found = _IN_SHOP.fullmatch("/".join(parts(name))) if len(name) <= _LONGEST_IN_SHOP else None
    return re.sub(r"[^A-Za-z0-9]", "", found.group(1)) if found else None


def parts(name: str) -> tuple[str, ...]:
    """Folders and file of a path of any system, in composed letters."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    return tuple(part for part in name.split("/") if part not in ("", ".", ".."))


def _natural(name):
    """Sorts 2.jpg before 10.jpg."""
    pieces = re.split(r"(\d+)", name)  # text and numbers in turn
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name


def _stem(last):
    return last.rpartition(".")[0] or last


def _shared(photo, wanted):
    """How many folders above the file agree; -1 if there is one that does not."""
    pairs = list(zip(reversed(photo[:-1]), reversed(wanted[:-1]), strict=False))
    return len(pairs) if all(a == b for a, b in pairs) else -1
