import hashlib
import http.server
import io
import stat
import tarfile
import threading
import zipfile

import pytest

from dpig_tf2.preparation import downloads

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT at /file, honouring ranges; /cut ends early; all else is 404."""

    def do_GET(self):  # noqa: N802
        self.server.ranges.append(self.headers.get("Range"))
        if self.path not in ("/file", "/cut"):
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        stop = start + 1000 if self.path == "/cut" else len(CONTENT)
        self.wfile.write(CONTENT[start:stop])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.ranges = []
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
    with pytest.raises(downloads.DownloadError, match="ended after 1000 of 1024000 bytes"):
        downloads.fetch(target, [f"{server.url}/cut"], SHA256)
    assert not target.exists()
    downloads.fetch(target, [f"{server.url}/file"], SHA256)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


def test_dead_mirrors_are_passed_over(server, tmp_path):
    sources = ["http://127.0.0.1:9/file", f"{server.url}/gone", f"{server.url}/file"]
    assert downloads.fetch(tmp_path / "a.bin", sources).read_bytes() == CONTENT


def test_no_source_says_what_to_put_where(server, tmp_path):
    with pytest.raises(downloads.DownloadError) as raised:
        downloads.fetch(tmp_path / "a.bin", [f"{server.url}/gone", str(tmp_path / "b.bin")])
    message = str(raised.value)
    assert "404" in message and "b.bin" in message
    assert f"put the file at {tmp_path / 'a.bin'}" in message


def test_local_file_and_existing_target(tmp_path):
    (tmp_path / "local").write_bytes(CONTENT)
    target = downloads.fetch(tmp_path / "x/a.bin", [str(tmp_path / "local")], SHA256)
    assert target.read_bytes() == CONTENT
    assert downloads.fetch(target, []) == target
    assert downloads.fetch(tmp_path / "b.bin", [f"file://{tmp_path / 'local'}"]).exists()


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


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt"])
def test_members_outside_are_refused(tmp_path, name):
    archive = make_zip(tmp_path / "a.zip", **{"good.txt": b"g", name: b"x"})
    with pytest.raises(downloads.ArchiveError, match="leads outside the folder"):
        downloads.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "evil.txt").exists()


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
        with pytest.raises(downloads.ArchiveError, match="link is a link or a device"):
            downloads.unpack(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_size_bound(tmp_path):
    archive = make_zip(tmp_path / "a.zip", a=b"0" * 600, b=b"0" * 600)
    with pytest.raises(downloads.ArchiveError, match="more than 1000 bytes"):
        downloads.unpack(archive, tmp_path / "out", max_bytes=1000)
    assert not (tmp_path / "out").exists()


def test_no_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>not found</html>")
    with pytest.raises(downloads.ArchiveError, match="neither a zip nor a tar"):
        downloads.unpack(tmp_path / "a.zip", tmp_path / "out")
