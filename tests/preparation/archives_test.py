import gzip
import io
import pathlib
import random
import stat
import tarfile
import zipfile

import pytest

from dpig_tf2.preparation import archives


def make_zip(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_unpack_zip_and_tar(tmp_path):
    archive = make_zip(tmp_path / "a.zip", **{"data/x.txt": b"x", "y.txt": b"y"})
    paths = archives.unpack(archive, tmp_path / "zip")
    assert [path.read_bytes() for path in paths] == [b"x", b"y"]
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        info = tarfile.TarInfo("data/z.txt")
        info.size = 3
        file.addfile(info, io.BytesIO(b"abc"))
    archives.unpack(tmp_path / "a.tar.gz", tmp_path / "tar")
    assert (tmp_path / "tar/data/z.txt").read_bytes() == b"abc"


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", **{"x.txt": b"x"})
    (tmp_path / "a.txt").write_text("a")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(tmp_path / "a.txt", "a.txt")
        file.add(inner, "inner.zip")
    paths = archives.unpack(tmp_path / "a.tar", tmp_path / "out")
    assert [path.name for path in paths] == ["a.txt", "inner.zip"]


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt"])
def test_members_outside_are_refused(tmp_path, name):
    archive = make_zip(tmp_path / "a.zip", **{"good.txt": b"g", name: b"x"})
    with pytest.raises(archives.ArchiveError, match="leads outside the folder"):
        archives.unpack(archive, tmp_path / "out")
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
    with pytest.raises(archives.ArchiveError, match=problem) as refused:
        archives.unpack(archive, tmp_path / "out")
    assert refused.value.file == str(archive)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_a_folder_too_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a", b"1")
        file.writestr("a/b", b"2")
    with pytest.raises(archives.ArchiveError, match="'a' is a file and a folder"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "out")


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
    stored = {"records/a.bin": bytes(range(256)) * 4000}
    zipped = make_zip(tmp_path / "whole.zip", **stored).read_bytes()
    kinds = [zipped[:60] + zipped[-200:], zipped, content.getvalue(), plain.getvalue()]
    for number in range(300):
        odd = bytearray(kinds[number % len(kinds)])
        for _ in range(rng.randint(1, 8)):
            odd[rng.randrange(min(len(odd), 2000))] = rng.randrange(256)
            odd[-rng.randint(1, min(len(odd), 200))] = rng.randrange(256)
        archive = tmp_path / "odd"
        archive.write_bytes(odd)
        try:
            archives.unpack(archive, tmp_path / f"out{number}")
        except archives.ArchiveError as error:
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
    monkeypatch.setattr(archives, "_MAX_LISTED", 100_000)
    pathlib.Path("a.tar").write_bytes(content + bytes(1024))
    with pytest.raises(archives.ArchiveError, match=problem):
        archives.unpack("a.tar", "out")


def test_compressed_tars_of_nothing_are_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_SURELY_LISTED", 100_000)
    content = b"".join(tar_header(f"{number}") for number in range(1000)) + bytes(1024)
    (tmp_path / "a.tar").write_bytes(content)
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(content))
    assert len(archives.unpack(tmp_path / "a.tar", tmp_path / "out")) == 1000
    with pytest.raises(archives.ArchiveError, match="list of members is too large"):
        archives.unpack(tmp_path / "b.tar.gz", tmp_path / "out")


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
        with pytest.raises(archives.ArchiveError, match="'link' is a link or a device"):
            archives.unpack(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_size_bound(tmp_path):
    archive = make_zip(tmp_path / "a.zip", a=b"0" * 600, b=b"0" * 600)
    with pytest.raises(archives.ArchiveError, match="more than 1000 bytes"):
        archives.unpack(archive, tmp_path / "out", max_bytes=1000)
    assert not (tmp_path / "out").exists()


def test_more_than_the_disk_holds(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", a=b"0" * 600)
    usage = archives.shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(archives.ArchiveError, match="to 600 bytes, but .* has 100 left"):
        archives.unpack(archive, tmp_path / "out")


def test_flat_members_come_together(tmp_path):
    archive = make_zip(tmp_path / "a.zip", **{"data/x.tfrecord": b"x", "data/pairs.p": b"p"})
    archives.unpack(archive, tmp_path / "out", flat=".tfrecord")
    assert (tmp_path / "out/x.tfrecord").exists() and (tmp_path / "out/data/pairs.p").exists()
    archive = make_zip(tmp_path / "b.zip", **{"a/x.tfrecord": b"x", "b/x.tfrecord": b"y"})
    with pytest.raises(archives.ArchiveError, match="'x.tfrecord' comes twice"):
        archives.unpack(archive, tmp_path / "b", flat=".tfrecord")


def test_damaged_and_encrypted_archives(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x", bytes(range(256)) * 100)
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + b"\xff" * 40 + whole[80:])
    with pytest.raises(archives.ArchiveError, match="damaged archive"):
        archives.unpack(path, tmp_path / "out")
    at = whole.index(b"PK\x01\x02") + 8  # flags of the central directory; bit 0: encrypted
    path.write_bytes(whole[:6] + b"\x01" + whole[7:at] + b"\x01" + whole[at + 1 :])
    with pytest.raises(archives.ArchiveError, match="password required.*unpack it yourself"):
        archives.unpack(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_no_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>not found</html>")
    with pytest.raises(archives.ArchiveError, match="neither a zip nor a tar"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "out")
