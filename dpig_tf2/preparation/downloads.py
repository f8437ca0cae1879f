"""Fetching archives from mirrors or local files, and unpacking them safely."""

import collections
import errno
import http.client
import os
import pathlib
import re
import shutil
import stat
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence

from dpig_tf2.errors import DpigError, printable, shown
from dpig_tf2.io import hashes
from dpig_tf2.io.atomic import replacing, write_text
from dpig_tf2.progress import Progress

_CHUNK = 1 << 20
_TIMEOUT = 30  # seconds without a byte
_PARTIAL = 206  # the server continues where an interrupted download stopped
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
_ARCHIVE_ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")

# What the release of 2018 names in its README. Checksums were never published, and the host may
# have gone; mirrors are tried first.
_RELEASE = "http://homes.esat.kuleuven.be/~liqianma/NIPS17_PG2/data"
PUBLISHED = {
    "market1501": {
        "train": f"{_RELEASE}/Market_train_data.zip",
        "test": f"{_RELEASE}/Market_test_data.zip",
        "raw": f"{_RELEASE}/Market1501_img_pose_attr_seg.zip",
    },
    "deepfashion": {
        "train": f"{_RELEASE}/DF_train_data.zip",
        "test": f"{_RELEASE}/DF_test_data.zip",
        "raw": f"{_RELEASE}/DF_img_pose.zip",
    },
    # 500 identities that the release's networks made, 24 images each.
    "virtual_market": {
        "raw": "https://homes.esat.kuleuven.be/~liqianma/CVPR18_DPIG/data/VirtualMarket_500x24.zip",
    },
}


class DownloadError(DpigError):
    """Nothing usable could be fetched; the message says what to put where."""


class ArchiveError(DpigError):
    """An archive that would write outside its folder, hold links, or be too large."""


def file_name(source: str) -> str:
    """The last part of a URL's or file's path."""
    path = urllib.parse.urlsplit(source).path if "://" in source else source
    return pathlib.PurePosixPath(urllib.parse.unquote(path)).name


def mirrors_of(given: Sequence[str], variable: str) -> list[str]:
    """The given mirrors, then those that an environment variable names, separated by spaces."""
    return [*given, *os.environ.get(variable, "").split()]


def sources_of(urls: Sequence[str], mirrors: Sequence[str]) -> dict[str, list[str]]:
    """Where each archive may come from, by its file name: its mirrors, then its own URL.

    Args:
        urls: published addresses of the wanted archives.
        mirrors: URLs or paths of archives, or of folders that hold archives under their published
            names. Where one archive is wanted, a mirror may call it anything.

    Raises:
        DpigError: naming a mirror that is none of several wanted archives.
    """
    sources: dict[str, list[str]] = {file_name(url): [] for url in urls}
    for mirror in mirrors:
        is_file = file_name(mirror).lower().endswith(_ARCHIVE_ENDINGS) or "?" in mirror
        if not is_file:
            for name, places in sources.items():
                places.append(f"{mirror.rstrip('/')}/{name}")
        elif len(sources) == 1 or file_name(mirror) in sources:
            name = file_name(mirror) if file_name(mirror) in sources else next(iter(sources))
            sources[name].append(mirror)
        else:
            raise DpigError(
                f"mirror {mirror} is none of the archives {', '.join(sources)}: name it so, or ask "
                "for one archive at a time"
            )
    for url in urls:
        sources[file_name(url)].append(url)
    return sources


def fetch(target, sources: Sequence[str], sha256: str | None = None) -> pathlib.Path:
    """The archive, fetched to `target` from the first source that delivers it.

    A local file is used where it lies. A download that was interrupted continues where it stopped,
    unless there is no checksum and the source is another one, has changed, or does not tell which
    version it sends. A `target` that exists is kept if its checksum is right or unknown.

    Args:
        target: where a download goes.
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
            return _fetch_one(source, target, sha256)
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures.append(f"{source}: {error or type(error).__name__}")
    tried = "; ".join(failures) or "no mirror was given"
    raise DownloadError(f"cannot fetch {target.name} ({tried}); put the file at {target}")


def _fetch_one(source, target, sha256) -> pathlib.Path:
    if source.startswith("file://"):
        source = urllib.request.url2pathname(source.removeprefix("file://"))
    if "://" not in source:
        _require(source, sha256)
        return pathlib.Path(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    origin = target.with_name(f"{target.name}.origin")
    _download(source, partial, origin, any_origin=sha256 is not None)
    try:
        _require(partial, sha256)
    except DownloadError:
        partial.unlink()  # continuing a wrong file would never make it right
        raise
    finally:
        origin.unlink(missing_ok=True)
    return partial.replace(target)


def _download(url, partial, origin, any_origin):
    """Fetches what `partial` lacks; the file `origin` tells what it is the beginning of."""
    have = partial.stat().st_size if partial.exists() else 0
    known_url, _, version = origin.read_text().partition("\n") if origin.exists() else ("", "", "")
    if not any_origin and (url != known_url or not version):
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and not any_origin:
        headers["If-Range"] = version  # another version of the file comes whole
    try:
        request = urllib.request.Request(url, headers=headers)
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing is left to send
            return
        raise
    with response:
        if response.status != _PARTIAL:
            have = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise DownloadError(f"the server did not continue at byte {have}")
        if not have:
            partial.unlink(missing_ok=True)  # before what is there would be taken for this one's
        write_text(origin, f"{url}\n{_version(response.headers)}")
        _receive(response, partial, have)


def _version(headers):
    """What identifies the content in an If-Range header; weak tags may not be used there."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


def _receive(response, partial, have):
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    progress = Progress(partial.name, total, unit="B", initial=have) if total else None
    if progress:
        progress.update(have)
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
    return hashes.sha256(path) == sha256.lower()


def _require(path, sha256):
    """Raises DownloadError if a file is not what was asked for."""
    if not _matches(path, sha256):
        raise DownloadError(f"its SHA-256 is not {sha256}")
    # A host that has moved likes to answer with a web page.
    if sha256 is None and _kind(path) is None:
        raise DownloadError("it is neither a zip nor a tar archive")


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
    kind = _kind(archive)
    try:
        if kind == "zip":
            with zipfile.ZipFile(archive) as opened:
                return _unpack(_zip_members(opened), archive, folder, max_bytes, flat)
        if kind == "tar":
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


def _kind(path):
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
