import gzip
import hashlib
import http.server
import io
import pathlib
import random
import stat
import tarfile
import threading
import zipfile
from unittest.mock import Mock

import pytest

from dpig_tf2.preparation import downloads


def _zip_bytes():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("records/a.bin", bytes(range(256)) * 4000)
    return content.getvalue()


CONTENT = _zip_bytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, honoring ranges, at /file; /cut ends early, /page is none; else 404."""

    def do_GET(self):  # noqa: N802
        self.server.ranges.append(self.headers.get("Range"))
        if self.path == "/page":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>this host has moved</html>")
            return
        if self.path not in ("/file", "/cut"):
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if self.headers.get("If-Range", self.server.tag) != self.server.tag:
            start = 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.send_header("ETag", self.server.tag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        stop = start + 1000 if self.path == "/cut" else len(CONTENT)
        self.wfile.write(CONTENT[start:stop])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.ranges = []
        server.tag = '"version 1"'
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()
        thread.join()


def test_fetch_with_checksum(server, tmp_path):
    path = downloads.fetch(tmp_path / "a.bin", [f"{server.url}/file"], SHA256)
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_download_continues(server, tmp_path):
    target = tmp_path / "a.bin"
    with pytest.raises(downloads.DownloadError, match=f"ended after 1000 of {len(CONTENT)} bytes"):
        downloads.fetch(target, [f"{server.url}/cut"], SHA256)
    assert not target.exists()
    downloads.fetch(target, [f"{server.url}/file"], SHA256)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


def test_without_checksum_another_source_begins_anew(server, tmp_path):
    target = tmp_path / "a.bin"
    with pytest.raises(downloads.DownloadError):
        downloads.fetch(target, [f"{server.url}/cut"])
    assert downloads.fetch(target, [f"{server.url}/file"]).read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_a_kill_before_the_first_byte_mixes_no_sources(server, tmp_path, monkeypatch):
    target = tmp_path / "a.bin"
    with pytest.raises(downloads.DownloadError):
        downloads.fetch(target, [f"{server.url}/cut"])
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(downloads, "_receive", Mock(side_effect=KeyboardInterrupt))
        downloads.fetch(target, [f"{server.url}/file"])
    assert downloads.fetch(target, [f"{server.url}/file"]).read_bytes() == CONTENT
    assert server.ranges == [None, None, None]


@pytest.mark.parametrize(("version", "kept"), [(1, 2000), (2, 1000)])
def test_without_checksum_a_changed_file_begins_anew(server, tmp_path, version, kept):
    for number in (1, version):
        server.tag = f'"version {number}"'
        with pytest.raises(downloads.DownloadError):
            downloads.fetch(tmp_path / "a.bin", [f"{server.url}/cut"])
    assert server.ranges == [None, "bytes=1000-"]
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:kept]


def test_without_checksum_and_version_a_download_begins_anew(server, tmp_path):
    server.tag = 'W/"weak"'
    for _ in range(2):
        with pytest.raises(downloads.DownloadError):
            downloads.fetch(tmp_path / "a.bin", [f"{server.url}/cut"])
    assert server.ranges == [None, None]


def test_dead_mirrors_are_passed_over(server, tmp_path):
    paths = ("gone", "page", "file")
    sources = ["http://127.0.0.1:9/file", *(f"{server.url}/{path}" for path in paths)]
    assert downloads.fetch(tmp_path / "a.bin", sources).read_bytes() == CONTENT


def test_no_source_says_what_to_put_where(server, tmp_path):
    with pytest.raises(downloads.DownloadError) as raised:
        downloads.fetch(tmp_path / "a.bin", [f"{server.url}/gone", str(tmp_path / "b.bin")])
    message = str(raised.value)
    assert "404" in message and "b.bin" in message
    assert f"put the file at {tmp_path / 'a.bin'}" in message


def test_local_file_is_used_where_it_lies(tmp_path):
    local = tmp_path / "my files.zip"
    local.write_bytes(CONTENT)
    for source in (str(local), local.as_uri()):
        assert downloads.fetch(tmp_path / "x/a.bin", [source], SHA256) == local
    assert list(tmp_path.iterdir()) == [local]


def test_existing_target_is_kept(tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert downloads.fetch(tmp_path / "a.bin", []) == tmp_path / "a.bin"


def test_mirrors_come_before_the_published_address():
    urls = ["http://host/Train.zip", "http://host/Test.zip"]
    mirrors = ["https://other/copy/", "/disk/Test.zip", "https://third/Train.zip?key=1"]
    assert downloads.sources_of(urls, mirrors) == {
        "Train.zip": ["https://other/copy/Train.zip", mirrors[2], urls[0]],
        "Test.zip": ["https://other/copy/Test.zip", mirrors[1], urls[1]],
    }
    assert downloads.sources_of(urls[:1], ["mine.tgz"]) == {"Train.zip": ["mine.tgz", urls[0]]}
    with pytest.raises(ValueError, match="mine.tgz is none of the archives Train.zip, Test.zip"):
        downloads.sources_of(urls, ["mine.tgz"])


def test_wrong_checksum_leaves_nothing(server, tmp_path):
    for source in (f"{server.url}/file", str(tmp_path / "local")):
        (tmp_path / "local").write_bytes(CONTENT)
        with pytest.raises(downloads.DownloadError, match="its SHA-256 is not 00"):
            downloads.fetch(tmp_path / "a.bin", [source], "00" * 32)
        assert [path.name for path in tmp_path.iterdir()] == ["local"]


def make_zip(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_unpack_zip_and_tar(tmp_path):
    archive = make_zip(tmp_path / "a.zip", **{"data/x.txt": b"x", "y.txt": b"y"})
    paths = downloads.unpack(archive, tmp_path / "zip")
    assert [path.read_bytes() for path in paths] == [b"x", b"y"]
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        info = tarfile.TarInfo("data/z.txt")
        info.size = 3
        file.addfile(info, io.BytesIO(b"abc"))
    downloads.unpack(tmp_path / "a.tar.gz", tmp_path / "tar")
    assert (tmp_path / "tar/data/z.txt").read_bytes() == b"abc"


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", **{"x.txt": b"x"})
    (tmp_path / "a.txt").write_text("a")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(tmp_path / "a.txt", "a.txt")
        file.add(inner, "inner.zip")
    paths = downloads.unpack(tmp_path / "a.tar", tmp_path / "out")
    assert [path.name for path in paths] == ["a.txt", "inner.zip"]


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt"])
def test_members_outside_are_refused(tmp_path, name):
    archive = make_zip(tmp_path / "a.zip", **{"good.txt": b"g", name: b"x"})
    with pytest.raises(downloads.ArchiveError, match="leads outside the folder"):
        downloads.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "evil.txt").exists()


@pytest.mark.parametrize(
    "name, problem",
    [
        ("", "a member has no name"),
        ("a/.", "has no name"),
        ("/absolute.bin", "leads outside"),
        ("inside/../b.bin", "leads outside"),
        ("C:b.bin", "leads outside"),
        ("a/NUL.tfrecord", "is a device"),
        ("com1", "is a device"),
        ("a\x1b[2Jb.bin", "cannot be printed"),
        ("x" * 201, "too long"),
        ("a/" * 40 + "b", "too deep"),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_of_odd_names_are_refused(tmp_path, kind, name, problem):
    archive = tmp_path / f"odd.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("good.bin", b"good")
            file.writestr(zipfile.ZipInfo(name), b"odd")
    else:
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as file:
            for each in ("good.bin", name):
                info = tarfile.TarInfo(each)
                info.size = 3
                file.addfile(info, io.BytesIO(b"odd"))
    with pytest.raises(downloads.ArchiveError, match=problem) as refused:
        downloads.unpack(archive, tmp_path / "out")
    assert refused.value.file == str(archive)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_a_folder_too_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a", b"1")
        file.writestr("a/b", b"2")
    with pytest.raises(downloads.ArchiveError, match="'a' is a file and a folder"):
        downloads.unpack(tmp_path / "a.zip", tmp_path / "out")


def test_mutated_archives_are_unpacked_or_refused(tmp_path):
    """Each of 300 archives with a few odd bytes."""
    rng = random.Random(0)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        for name in ("a.bin", "b/" + "c" * 120):  # a long name has a header of its own
            info = tarfile.TarInfo(name)
            info.size = 600
            file.addfile(info, io.BytesIO(bytes(600)))
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as file:
        for name in ("a.bin", "b/" + "c" * 120):
            info = tarfile.TarInfo(name)
            info.size = 600
            file.addfile(info, io.BytesIO(bytes(600)))
    kinds = [CONTENT[:60] + CONTENT[-200:], CONTENT, content.getvalue(), plain.getvalue()]
    for number in range(300):
        odd = bytearray(kinds[number % len(kinds)])
        for _ in range(rng.randint(1, 8)):
            odd[rng.randrange(min(len(odd), 2000))] = rng.randrange(256)
            odd[-rng.randint(1, min(len(odd), 200))] = rng.randrange(256)
        archive = tmp_path / "odd"
        archive.write_bytes(odd)
        try:
            downloads.unpack(archive, tmp_path / f"out{number}")
        except downloads.ArchiveError as error:
            assert str(archive) in str(error) and error.file == str(archive)


def tar_header(name="a", kind=tarfile.REGTYPE, size=0, **pax_headers):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.pax_headers = kind, size, pax_headers
    return info.tobuf(tarfile.PAX_FORMAT if pax_headers else tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (tar_header(kind=tarfile.GNUTYPE_LONGNAME, size=1 << 30), "list of members is too large"),
        (tar_header(kind=tarfile.XHDTYPE, size=1 << 30), "list of members is too large"),
        (tar_header() * 200, "list of members is too large"),
        (
            tarfile.TarInfo.create_pax_global_header({"comment": "x" * 1000}) + tar_header() * 20,
            "list of members is too large",
        ),
        (tar_header() + tar_header("b", size=-1024), "'b' has a negative size"),
        (tar_header(kind=tarfile.GNUTYPE_LONGNAME, size=-1024), "'a' has a negative size"),
        (tar_header() + tar_header("b", tarfile.GNUTYPE_SPARSE), "'b' is a sparse file"),
        (tar_header(**{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), "is a sparse file"),
        (tar_header("a\x1b" + "/b" * 49), r"\Aa.tar: 'a\\x1b.*' has a name that is a device"),
    ],
    ids=[
        "long name",
        "pax",
        "many",
        "global pax",
        "negative",
        "read back",
        "sparse",
        "pax sparse",
        "odd name",
    ],
)
def test_tars_that_would_take_all_memory_are_refused(tmp_path, monkeypatch, content, problem):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(downloads, "_MAX_LISTED", 100_000)
    pathlib.Path("a.tar").write_bytes(content + bytes(1024))
    with pytest.raises(downloads.ArchiveError, match=problem):
        downloads.unpack("a.tar", "out")


def test_compressed_tars_of_nothing_are_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_SURELY_LISTED", 100_000)
    content = b"".join(tar_header(f"{number}") for number in range(1000)) + bytes(1024)
    (tmp_path / "a.tar").write_bytes(content)
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(content))
    assert len(downloads.unpack(tmp_path / "a.tar", tmp_path / "out")) == 1000
    with pytest.raises(downloads.ArchiveError, match="list of members is too large"):
        downloads.unpack(tmp_path / "b.tar.gz", tmp_path / "out")


def test_links_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(info)
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    for name in ("a.tar", "a.zip"):
        with pytest.raises(downloads.ArchiveError, match="'link' is a link or a device"):
            downloads.unpack(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_size_bound(tmp_path):
    archive = make_zip(tmp_path / "a.zip", a=b"0" * 600, b=b"0" * 600)
    with pytest.raises(downloads.ArchiveError, match="more than 1000 bytes"):
        downloads.unpack(archive, tmp_path / "out", max_bytes=1000)
    assert not (tmp_path / "out").exists()


def test_more_than_the_disk_holds(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", a=b"0" * 600)
    usage = downloads.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(downloads.ArchiveError, match="to 600 bytes, but .* has 100 left"):
        downloads.unpack(archive, tmp_path / "out")


def test_flat_members_come_together(tmp_path):
    archive = make_zip(tmp_path / "a.zip", **{"data/x.tfrecord": b"x", "data/pairs.p": b"p"})
    downloads.unpack(archive, tmp_path / "out", flat=".tfrecord")
    assert (tmp_path / "out/x.tfrecord").exists() and (tmp_path / "out/data/pairs.p").exists()
    archive = make_zip(tmp_path / "b.zip", **{"a/x.tfrecord": b"x", "b/x.tfrecord": b"y"})
    with pytest.raises(downloads.ArchiveError, match="'x.tfrecord' comes twice"):
        downloads.unpack(archive, tmp_path / "b", flat=".tfrecord")


def test_damaged_and_encrypted_archives(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x", bytes(range(256)) * 100)
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + b"\xff" * 40 + whole[80:])
    with pytest.raises(downloads.ArchiveError, match="damaged archive"):
        downloads.unpack(path, tmp_path / "out")
    at = whole.index(b"PK\x01\x02") + 8  # flags of the central directory; bit 0: encrypted
    path.write_bytes(whole[:6] + b"\x01" + whole[7:at] + b"\x01" + whole[at + 1 :])
    with pytest.raises(downloads.ArchiveError, match="password required.*unpack it yourself"):
        downloads.unpack(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_no_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>not found</html>")
    with pytest.raises(downloads.ArchiveError, match="neither a zip nor a tar"):
        downloads.unpack(tmp_path / "a.zip", tmp_path / "out")
