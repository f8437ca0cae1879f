"""Fetching archives from mirrors or local files."""

import http.client
import os
import pathlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence

from dpig_tf2.errors import DpigError
from dpig_tf2.io import hashes
from dpig_tf2.io.atomic import write_text
from dpig_tf2.preparation import archives
from dpig_tf2.progress import Progress

_CHUNK = 1 << 20  # bytes
_TIMEOUT = 30  # seconds without a byte
_PARTIAL = 206  # the server continues where an interrupted download stopped

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
        is_file = file_name(mirror).lower().endswith(archives.ENDINGS) or "?" in mirror
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
    if sha256 is None and archives.kind(path) is None:
        raise DownloadError("it is neither a zip nor a tar archive")
