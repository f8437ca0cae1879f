"""Zip and tar archives of strangers, unpacked safely or refused."""

import collections
import errno
import os
import pathlib
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator

from dpig_tf2.errors import DpigError, printable, shown
from dpig_tf2.io.atomic import replacing

ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_CHUNK = 1 << 20  # bytes
_MAX_UNPACKED = 200 << 30  # bytes; the published records take about 40 GB
# Bytes of memory that the list of a tar's members may take: about a million of them, and of a small
# file fewer. Compressed, headers take next to nothing.
_MAX_LISTED = 1 << 30
_SURELY_LISTED = 1 << 25
_LISTED_FOR_A_BYTE = 8  # of the archive; a member takes 512 of one that is not compressed
_MEMBER_LISTED = 1 << 10  # bytes in memory of a member
_HEADER_LISTED = 16  # bytes in memory for each byte of a long name or of a pax header
_LONGEST_NAME = 200  # bytes; file systems take 255, temporary names are a little longer
_DEEPEST = 32  # folders in one another
_DRIVE = re.compile(r"[A-Za-z]:")
# What Windows takes for a device, whatever the folder and the ending.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)


class ArchiveError(DpigError):
    """An archive that would write outside its folder, hold links, or be too large."""


def unpack(
    archive, folder, max_bytes: int = _MAX_UNPACKED, flat: str | None = None
) -> list[pathlib.Path]:
    """Files unpacked from a zip or tar archive; nothing is written unless every member is safe.

    Args:
        archive: the file.
        folder: where to, created if needed.
        max_bytes: most that the members may take together.
        flat: members with this ending go to `folder` itself, wherever the archive has them.

    Raises:
        ArchiveError: naming the member that leaves the folder, has no name that every system can
            take, is no plain file or folder, comes twice, or makes the whole too large; or if the
            file is no archive, damaged or encrypted.
    """
    archive, folder = pathlib.Path(archive), pathlib.Path(folder)
    found = kind(archive)
    try:
        if found == "zip":
            with zipfile.ZipFile(archive) as opened:
                return _unpack(_zip_members(opened), archive, folder, max_bytes, flat)
        if found == "tar":
            with tarfile.open(archive, tarinfo=_bounded_header(archive)) as opened:
                return _unpack(_tar_members(opened), archive, folder, max_bytes, flat)
    except ArchiveError:
        raise
    except (RuntimeError, NotImplementedError) as error:  # a password, or an unknown compression
        if isinstance(error, RecursionError):
            raise ArchiveError(f"{archive}: damaged archive (nested)", file=archive) from error
        raise ArchiveError(f"{archive}: {error}; unpack it yourself", file=archive) from error
    except Exception as error:
        # A damaged archive leads to places that cannot be; any other number is of the disk.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        # The library's readers let out what their parts happen to raise.
        reason = error or type(error).__name__
        raise ArchiveError(f"{archive}: damaged archive ({reason})", file=archive) from error
    raise ArchiveError(f"{archive}: neither a zip nor a tar archive", file=archive)


def kind(path) -> str | None:
    """ "zip", "tar" or None for a file that is neither. Raises ArchiveError as `unpack` does."""
    # A tar whose last member is a zip ends as a zip does; no zip begins as a tar does.
    for kind, test in (("tar", _is_tar), ("zip", zipfile.is_zipfile)):
        try:
            if test(path):
                return kind
        except ArchiveError:
            raise
        except OSError as error:
            if error.errno not in (None, errno.EINVAL):
                raise
        except Exception:  # as in `unpack`: then it is no readable archive of this kind
            continue
    return None


def _is_tar(path):
    try:
        tarfile.open(path, tarinfo=_bounded_header(path)).close()
    except tarfile.TarError:
        return False
    return True


def _bounded_header(archive) -> type[tarfile.TarInfo]:
    """A class for the members of one tar that refuses headers for which memory would not do.

    `tarfile` keeps all members, reads long names and pax headers at once, gives what a global one
    says to every member, and believes sizes that lead back to where it has been.
    """
    left = min(_MAX_LISTED, _SURELY_LISTED + _LISTED_FOR_A_BYTE * os.path.getsize(archive))
    each = _MEMBER_LISTED

    def refused(why):
        return ArchiveError(f"{archive}: {why}, refused", file=archive)

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf, encoding, errors):
            nonlocal left, each
            header = super().frombuf(buf, encoding, errors)
            if header.size < 0:
                raise refused(f"{shown(header.name)} has a negative size")
            if header.type == tarfile.GNUTYPE_SPARSE:
                raise refused(f"{shown(header.name)} is a sparse file")
            text = 0 if header.isreg() else _HEADER_LISTED * header.size
            left -= each + text
            if header.type == tarfile.XGLTYPE:
                each += text
            if left < 0:
                raise refused("its list of members is too large")
            return header

        # Where a pax header announces a sparse file, the list of its parts may be of any length.
        def _proc_gnusparse_10(self, *_):
            raise refused("a member is a sparse file")

    return Header


def _zip_members(opened) -> Iterator[tuple]:
    """(name, size, whether a plain file, opener) of every member that is not a folder."""
    for info in opened.infolist():
        mode = info.external_attr >> 16  # 0 where the archive was made without Unix modes
        plain = stat.S_IFMT(mode) in (0, stat.S_IFREG)
        if not info.filename.endswith("/"):
            yield info.filename, info.file_size, plain, lambda info=info: opened.open(info)


def _tar_members(opened) -> Iterator[tuple]:
    for info in opened:
        if not info.isdir():
            yield info.name, info.size, info.isfile(), lambda info=info: opened.extractfile(info)


def _unpack(members, archive, folder, max_bytes, flat):
    members = _safe(members, archive, folder, max_bytes)
    paths: list[pathlib.Path] = []
    for name, _ in members:
        inner = pathlib.PurePosixPath(name)
        paths.append(folder / (inner.name if flat and name.endswith(flat) else inner))
    twice = next((path for path, times in collections.Counter(paths).items() if times > 1), None)
    if twice:
        raise ArchiveError(f"{archive}: {shown(twice.name)} comes twice, refused", file=archive)
    folders = {parent for path in paths for parent in path.relative_to(folder).parents}
    both = next((path for path in paths if path.relative_to(folder) in folders), None)
    if both:
        raise ArchiveError(
            f"{archive}: {shown(both.name)} is a file and a folder, refused", file=archive
        )
    for path, (_, open_member) in zip(paths, members, strict=True):
        with replacing(path) as temporary, open_member() as source:
            with open(temporary, "wb") as file:
                # The readers end where the size announced does, whatever else a member holds.
                shutil.copyfileobj(source, file, _CHUNK)
    return paths


def _safe(members, archive, folder, max_bytes):
    """(name, opener) of every member, each looked at before the next one is listed."""
    root = folder.resolve()
    listed, total = [], 0
    for name, size, plain, open_member in members:
        if problem := _problem(name, size, plain, root):
            what = shown(name) if name else "a member"
            raise ArchiveError(f"{archive}: {what} {problem}, refused", file=archive)
        listed.append((name, open_member))
        total += size
        if total > max_bytes:
            raise ArchiveError(
                f"{archive}: unpacks to more than {max_bytes} bytes, refused", file=archive
            )
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if total > free:
        raise ArchiveError(
            f"{archive}: unpacks to {total} bytes, but {folder} has {free} left", file=archive
        )
    return listed


def _problem(name, size, plain, root):
    """Why a member cannot be written, or None."""
    parts = name.split("/")
    if not plain:
        return "is a link or a device"
    if size < 0:
        return "has a negative size"
    if parts[-1] in ("", "."):
        return "has no name"
    if (
        "\\" in name
        or name.startswith("/")
        or ".." in parts
        or _DRIVE.match(name)
        or not (root / name.replace("\0", "")).resolve().is_relative_to(root)
    ):
        return "leads outside the folder"
    for part in parts:
        if _DEVICE.match(part) or printable(part) != part:
            return "has a name that is a device or cannot be printed"
        if len(os.fsencode(part)) > _LONGEST_NAME:
            return "has too long a name"
    return "lies too deep" if len(parts) > _DEEPEST else None
