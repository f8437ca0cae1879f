import hashlib
import http.server
import io
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
