"""Fetching archives from mirrors or local files, and unpacking them safely."""

import hashlib
import pathlib
import shutil
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence

from dpig_tf2.preparation.progress import Progress
from dpig_tf2.records import writer

_CHUNK = 1 << 20
_TIMEOUT = 30  # seconds without a byte
_PARTIAL = 206  # the server continues where an interrupted download stopped
_MAX_UNPACKED = 200 << 30  # bytes; the published records take about 40 GB


class DownloadError(ValueError):
    """Nothing usable could be fetched; the message says what to put where."""


class ArchiveError(ValueError):
    """An archive that would write outside its folder, hold links, or be too large."""


def fetch(target, sources: Sequence[str], sha256: str | None = None) -> pathlib.Path:
    """The file `target`, fetched from the first source that delivers it.

    A download that was interrupted continues where it stopped. A `target` that exists is kept if
    its checksum is right or unknown.

    Args:
        target: where the file goes.
        sources: URLs (http, https, file) or paths of local files, tried in order.
        sha256: expected checksum in hexadecimal, if known.

    Raises:
        DownloadError: if no source delivers, naming what each one said.
    """
    target = pathlib.Path(target)
    if target.exists() and _matches(target, sha256):
        return target
    failures = []
    for source in sources:
        try:
            _fetch_one(source, target, sha256)
            return target
        except (OSError, ValueError, urllib.error.URLError) as error:
            failures.append(f"{source}: {error}")
    tried = "; ".join(failures) or "no mirror was given"
    raise DownloadError(f"cannot fetch {target.name} ({tried}); put the file at {target}")


def _fetch_one(source, target, sha256):
    target.parent.mkdir(parents=True, exist_ok=True)
    local = pathlib.Path(source.removeprefix("file://"))
    if "://" not in source or source.startswith("file://"):
        with writer.replacing(target) as temporary:
            shutil.copyfile(local, temporary)
            _require(temporary, sha256)
        return
    partial = target.with_name(f"{target.name}.part")
    _download(source, partial)
    try:
        _require(partial, sha256)
    except DownloadError:
        partial.unlink()  # continuing a wrong file would never make it right
        raise
    partial.replace(target)


def _download(url, partial):
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is left to send
            return
        raise
    with response:
        if response.status != _PARTIAL:
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        progress = Progress(partial.name, total) if total else None
        with open(partial, "ab" if have else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                if progress:
                    progress.update(have)
    if total is not None and have != total:
        raise DownloadError(f"the connection ended after {have} of {total} bytes")


def _matches(path, sha256):
    if sha256 is None:
        return True
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256.lower()


def _require(path, sha256):
    if not _matches(path, sha256):
        raise DownloadError(f"its SHA-256 is not {sha256}")


def unpack(archive, folder, max_bytes: int = _MAX_UNPACKED) -> list[pathlib.Path]:
    """Files unpacked from a zip or tar archive; nothing is written unless every member is safe.

    Raises:
        ArchiveError: naming the member that leaves the folder, is no plain file or folder, or makes
            the whole larger than `max_bytes`; or if the file is no archive.
    """
    archive, folder = pathlib.Path(archive), pathlib.Path(folder)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return _unpack(_zip_members(opened), archive, folder, max_bytes)
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as opened:
                return _unpack(_tar_members(opened), archive, folder, max_bytes)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise ArchiveError(f"{archive}: damaged archive ({error})") from error
    raise ArchiveError(f"{archive}: neither a zip nor a tar archive")


def _zip_members(opened) -> Iterator[tuple]:
    """(name, size, whether a plain file, opener) of every member that is not a folder."""
    for info in opened.infolist():
        mode = info.external_attr >> 16  # 0 where the archive was made without Unix modes
        plain = stat.S_IFMT(mode) in (0, stat.S_IFREG)
        if not info.is_dir():
            yield info.filename, info.file_size, plain, lambda info=info: opened.open(info)


def _tar_members(opened) -> Iterator[tuple]:
    for info in opened.getmembers():
        if not info.isdir():
            yield info.name, info.size, info.isfile(), lambda info=info: opened.extractfile(info)


def _unpack(members, archive, folder, max_bytes):
    members = list(members)
    root = folder.resolve()
    total = 0
    for name, size, plain, _ in members:
        if not plain:
            raise ArchiveError(f"{archive}: {name} is a link or a device, refused")
        if "\\" in name or not (root / name).resolve().is_relative_to(root):
            raise ArchiveError(f"{archive}: {name} leads outside the folder, refused")
        total += size
        if total > max_bytes:
            raise ArchiveError(f"{archive}: unpacks to more than {max_bytes} bytes, refused")
    paths = []
    for name, size, _, open_member in members:
        path = folder / name
        with writer.replacing(path) as temporary, open_member() as source:
            with open(temporary, "wb") as file:
                # A member may hold more than its header says; no more than that is written.
                _copy(source, file, size, f"{archive}: {name}")
        paths.append(path)
    return paths


def _copy(source, file, size, what):
    left = size
    while chunk := source.read(min(_CHUNK, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise ArchiveError(f"{what} is larger than announced, refused")
        file.write(chunk)
