"""Files of runs, archives, tables and TensorFlow 1 checkpoints; see `targets`."""

import csv
import functools
import io
import json
import pathlib
import re
import struct
import tarfile
import tempfile
import zipfile

from tests.fuzz import mutations
from tests.fuzz.target import Target


def _written(write, name):
    """The content of the file of that name which `write(path)` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, name)
        write(path)
        return path.read_bytes()


# Arrays.


@functools.cache
def _array_seeds():
    import numpy as np

    from dpig_tf2.io import array_files

    contents = {
        "weights": {f"layer_{i}/kernel": np.full((3, i + 1), i, np.float32) for i in range(4)},
        "codes": {"foreground": np.eye(4, dtype=np.float32), "name": np.array(["a.jpg", "b.jpg"])},
        "step": {"step": np.int64(7), "half": np.zeros(9, np.float16), "none": np.zeros((0, 3))},
    }
    seeds = {
        f"{name}.npz": _written(lambda path, c=content: array_files.save(path, c), "a.npz")
        for name, content in contents.items()
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **contents["weights"])
    return seeds | {"packed.npz": packed.getvalue()}


_HEADERS = (
    b"'shape': (1000000000000,)", b"'shape': (2147483647, 2147483647)", b"'shape': (-1,)",
    b"'shape': (True,)", b"'shape': (1" + b"0" * 400 + b",)", b"'shape': ()", b"'shape': (0,)",
    b"'shape': 3", b"'shape': (" + b"(" * 90, b"'fortran_order': 7", b"'descr': '|O'",
    b"'descr': 'x'", b"'descr': [('a', '|O')]", b"'descr': '<f8'", b"'descr': '>f4'",
    b"'descr': '|V1000000000'", b"'descr': '<U2000000000'", b"'descr': __import__('os')",
    b"'descr': '<M8[us]'", b"'descr': '<f4', 'descr': '<f8'",
)  # fmt: skip


def change_header(data, generator):
    """Another type or shape in a member's header, in a sound zip file."""

    def change(name, content):
        field, _, _ = (header := generator.choice(_HEADERS)).partition(b":")
        old = re.search(re.escape(field) + rb": ('[^']*'|\([^)]*\)|\w+)", content)
        if not old:
            return name, content
        end = content.find(b"\n")
        text = content[10:end].replace(old[0], header).rstrip()
        text += b" " * (-(len(text) + 11) % 64) + b"\n"
        return name, content[:8] + struct.pack("<H", len(text)) + text + content[end + 1 :]

    return _rebuilt_zip(data, generator, change)


def change_member(data, generator):
    """Another name, content or compression of a member, in a sound zip file."""

    def change(name, content):
        if generator.random() < 0.5:
            return generator.choice(_MEMBER_NAMES), content
        return name, mutations.mutate(content, generator, [content])

    return _rebuilt_zip(data, generator, change)


def change_values(data, generator):
    """Other numbers in a member, in a sound zip file."""

    def change(name, content):
        place = generator.randint(min(128, len(content)), len(content))
        return name, content[:place] + generator.randbytes(len(content) - place)

    return _rebuilt_zip(data, generator, change)


def _rebuilt_zip(data, generator, change):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = [(name, old.read(name)) for name in old.namelist()]
        chosen = generator.randrange(len(members))
        members[chosen] = change(*members[chosen])
        file = io.BytesIO()
        kind = generator.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        with zipfile.ZipFile(file, "w", kind) as new:
            for name, content in members:
                new.writestr(name, content)
        return file.getvalue()
    except Exception:  # damaged already
        return mutations.flip(data, generator)


@functools.cache
def _hostile_arrays():
    import pickle

    import numpy as np

    objects = io.BytesIO()
    np.savez(objects, a=np.array([{}, None], object))
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118)
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000,), }"
    zeros = io.BytesIO()
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("a.npy", "w", force_zip64=True) as member:
            member.write(header + text.ljust(117) + b"\n")
            for _ in range(1200):
                member.write(bytes(1 << 20))
    return [
        objects.getvalue(),
        zeros.getvalue(),
        pickle.dumps({"a": 1}),
        header + text.ljust(117) + b"\n",
        b"PK\5\6" + bytes(18),
        b"",
    ]


def _read_arrays(path):
    from dpig_tf2.io import array_files

    return array_files.load(path)


def _check_arrays(arrays, path):
    import numpy as np

    from dpig_tf2.io import array_files

    size = path.stat().st_size
    for name, array in arrays.items():
        assert isinstance(name, str) and not array.dtype.hasobject
        assert array.nbytes <= 1100 * size, f"{array.nbytes} bytes from a file of {size}"
    copy = path.with_name("copy.npz")
    array_files.save(copy, arrays)
    again = array_files.load(copy)
    assert again.keys() == arrays.keys()
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name], array)


# What a run folder holds.


def _config():
    from dpig_tf2 import config

    return config.preset("synthetic").override(**{"model.hidden": 4, "reconstruction.steps": 4})


@functools.cache
def _run_seeds():
    from dpig_tf2.run_folder import RunFolder

    def metrics(path):
        run = RunFolder(path.parent, _config())
        for name in ("ssim", "mask_ssim"):
            run.write_metrics(name, {"mean": 0.5, "count": 7})

    scalars = "".join(json.dumps({"step": n, "loss/l1": 0.5}) + "\n" for n in range(9))
    return {
        "config.json": (_config().to_json() + "\n").encode(),
        "metrics.json": _written(metrics, "metrics.json"),
        "scalars.jsonl": scalars.encode(),
    }


def _read_run(path):
    from dpig_tf2.run_folder import RunFolder

    if path.name == "config.json":
        return RunFolder.open(path.parent).config
    if path.name == "metrics.json":
        RunFolder(path.parent, _config()).write_metrics("fuzz", {"mean": 1})
        return json.loads(path.read_bytes())
    from dpig_tf2.training.progress import StageLog

    StageLog(path.parent, "reconstruction", 4, 9, 1).writer.close()
    return [json.loads(line) for line in path.read_text().splitlines()]


def _check_run(value, path):
    if path.name == "config.json":
        from dpig_tf2.config import Config

        assert Config.from_values(json.loads(value.to_json())) == value
    elif path.name == "metrics.json":
        assert value["fuzz"] == {"mean": 1}
    else:
        assert all(line["step"] <= 4 for line in value)


@functools.cache
def _manifest_seeds():
    from dpig_tf2.io.manifests import Manifest

    def write(path):
        manifest = Manifest(path, _SETTINGS)
        manifest.facts = {"problems": ["a.jpg: no keypoints"]}
        for i in range(3):
            facts = {"seed": i, "codes": f"codes/{i}.npz", "sha256": "0" * 64, "examples": i}
            manifest.add(f"{i:04d}.png", facts)
        manifest.write()

    return {name: _written(write, name) for name in ("samples.json", "Market1501_train.json")}


_SETTINGS = {"verb": "sample", "seed": 3, "inputs": {"a.jpg": "0" * 64}, "subsets": [["pose"]]}


def _read_manifest(path):
    from dpig_tf2.io.manifests import Manifest

    return Manifest(path, _SETTINGS, overwrite=path.stat().st_size % 2 == 1)


def _check_manifest(manifest, path):
    from dpig_tf2.io.manifests import Manifest

    for name in (*manifest.files, *manifest.replaced):
        inside = (path.parent / name).resolve()
        assert inside.is_relative_to(path.parent.resolve()), name
    manifest.write()
    assert Manifest(path, _SETTINGS).files == manifest.files


# Factors of synthetic persons.


@functools.cache
def _factor_seeds():
    from dpig_tf2 import synthetic

    def factors(image):
        names = ("foreground", "background", "pose")
        return {name: synthetic.to_dict(getattr(image, name)) for name in names}

    return {
        f"synthetic_factors_{seed}.json": json.dumps(
            {image.name: factors(image) for image in synthetic.make_images(seed, 1, 2)}
        ).encode()
        for seed in range(3)
    }


def _read_factors(path):
    from dpig_tf2.evaluation import disentanglement

    return disentanglement.load_factors(path)


def _check_factors(factors, path):
    """They can be drawn, and come back from what is written of them."""
    import numpy as np

    from dpig_tf2 import synthetic

    for values in factors.values():
        picture = synthetic.render(
            *(values[n] for n in ("foreground", "background", "pose")), 32, 16
        )
        assert picture.shape == (32, 16, 3) and picture.dtype == np.uint8
        assert np.isfinite(synthetic.pose_keypoints(values["pose"], 32, 16)).all()
        for value in values.values():
            assert synthetic.from_dict(json.loads(json.dumps(synthetic.to_dict(value)))) == value


# Lists of pairs.


@functools.cache
def _pair_seeds():
    rows = [("from", "to"), ("a.jpg", "b.jpg"), ("b.jpg", "a b.jpg"), ("c.jpg", "é.jpg")]
    seeds = {}
    for name, quoting in (("plain.csv", csv.QUOTE_MINIMAL), ("quoted.csv", csv.QUOTE_ALL)):
        file = io.StringIO()
        csv.writer(file, quoting=quoting).writerows(rows)
        seeds[name] = file.getvalue().encode("utf-8-sig" if quoting else "utf-8")
    return seeds


def _read_pairs(path):
    from dpig_tf2.preparation import pairs

    return pairs.read_pairs_csv(path)


def _check_pairs(found, path):
    assert all(isinstance(name, str) and name == name.strip() != "" for p in found for name in p)
    copy = path.with_name("copy.csv")
    if not any("\t" in name for pair in found for name in pair):
        lines = ["\t".join(pair) for pair in [("from", "to"), *found]]
        copy.write_text("\n".join(lines), encoding="utf-8")
        assert _read_pairs(copy) == found


@functools.cache
def _hostile_pairs():
    return [
        b"from,to\n" + b'"' * 200_000,
        b"from,to\n" + b"x" * 200_000 + b",b\n",
        b"from,to\n\0,b\n",
        b"from,to,from\na,b\n",
        b"from,to\ra,b\r",
        b"\xff\xfef\0r\0o\0m\0",
        b"",
    ]


# Archives.

_MEMBER_NAMES = (
    "../fuzz_escaped", "/tmp/fuzz_escaped", "a/../../fuzz_escaped", "a", "a/b", "", ".", "..", "/",
    "//", "\0", "a\0b", "C:\\x", "c:x", "con", "nul.txt", "a\\..\\b", "x" * 300, "a/" * 40 + "b",
    "\x1b[2J", "é.npy", "e\u0301.npy", "a b", "records/A.tfrecord", "name.npy", "-rf",
    "./a", "a/./b", "a//b", "\u202e", "~/x", "$HOME",
)  # fmt: skip


@functools.cache
def _archive_seeds():
    files = {f"data/Market1501_train_0000{i}-of-00003.tfrecord": bytes(500) for i in range(3)}
    files["read me.txt"] = b"text of a member " * 20
    seeds = {}
    for name, kind in (("stored.zip", zipfile.ZIP_STORED), ("packed.zip", zipfile.ZIP_DEFLATED)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", kind) as archive:
            for member, content in files.items():
                archive.writestr(member, content)
        seeds[name] = file.getvalue()
    for kind in ("", "gz", "bz2", "xz"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=f"w:{kind}") as archive:
            for member, content in files.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        seeds[f"a.tar.{kind}".rstrip(".")] = file.getvalue()
    return seeds


def change_tar(data, generator):
    """Another name, type or link of a member, in a sound tar file."""
    try:
        file = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(data)) as old:
            members = [(info, old.extractfile(info)) for info in old.getmembers()]
            chosen = generator.choice(members)[0]
            match generator.randrange(4):
                case 0:
                    chosen.name = generator.choice(_MEMBER_NAMES)
                case 1:
                    chosen.type = generator.choice(b"01234567xgLKSA\0").to_bytes()
                case 2:
                    chosen.type = generator.choice((tarfile.SYMTYPE, tarfile.LNKTYPE))
                    chosen.linkname = generator.choice(("/tmp", "..", "read me.txt", "/etc/passwd"))
                case _:
                    chosen.pax_headers = {
                        generator.choice(("path", "size", "GNU.sparse.size", "linkpath")): (
                            generator.choice(("../x", "9" * 30, "-1", "1" + "0" * 13, "", "\0"))
                        )
                    }
            kind = generator.choice(("", "gz", "bz2", "xz"))
            with tarfile.open(fileobj=file, mode=f"w:{kind}", format=tarfile.PAX_FORMAT) as new:
                for info, content in members:
                    # Of what may be said to be large by an earlier change.
                    held = content.read(1 << 16) if info.isreg() and content else b""
                    info.size = len(held)
                    new.addfile(info, io.BytesIO(held))
        return file.getvalue()
    except Exception:  # no tar file, or damaged already
        return change_member(data, generator)


@functools.cache
def _hostile_archives():
    import gzip

    big = tarfile.TarInfo("big")
    big.size = 1 << 50
    return [
        gzip.compress(bytes(200 << 20), 1),
        big.tobuf(),
        gzip.compress(big.tobuf()),
        gzip.compress(gzip.compress(b"x" * 600)),
        b"PK\5\6" + bytes(18),
        b"PK\3\4",
        b"",
    ]


def _read_archive(path):
    from dpig_tf2.preparation import archives

    return archives.unpack(path, path.parent / "out"), set(path.parent.iterdir())


def _check_archive(unpacked, path):
    paths, beside = unpacked
    root = (path.parent / "out").resolve()
    assert beside <= {path, path.parent / "out"}, f"written outside: {beside}"
    for file in paths:
        assert file.is_file() and not file.is_symlink()
        assert file.resolve().is_relative_to(root), file
    found = {file for file in root.rglob("*") if not file.is_dir()}
    assert found == {file.resolve() for file in paths}
    assert not pathlib.Path("/tmp/fuzz_escaped").exists()


# Checkpoints of TensorFlow 1.

_PREFIX = "model.ckpt-12"


@functools.cache
def _checkpoint_seeds():
    import numpy as np
    import tensorflow as tf

    tensors = {f"Net/{i}/weights": np.full((i + 1, 3), i, np.float32) for i in range(5)}
    tensors["step"] = np.int32(12)
    with tempfile.TemporaryDirectory() as folder:
        tf.raw_ops.SaveV2(
            prefix=f"{folder}/{_PREFIX}",
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=list(tensors.values()),
        )
        files = pathlib.Path(folder).glob(f"{_PREFIX}.*")
        return {file.name: file.read_bytes() for file in files}


def _read_checkpoint(path):
    from dpig_tf2.legacy_tf1 import checkpoint

    for name, content in _checkpoint_seeds().items():
        if name != path.name:
            path.with_name(name).write_bytes(content)
    return checkpoint.read(path)


def _check_checkpoint(found, path):
    import numpy as np

    assert found.name_step == 12
    for name, array in found.tensors.items():
        assert isinstance(name, str) and isinstance(np.asarray(array), np.ndarray)
    if path.name.startswith(f"{_PREFIX}.data"):  # every byte of the data has a checksum
        assert set(found.tensors) == {*(f"Net/{i}/weights" for i in range(5)), "step"}
        for i in range(5):
            assert (found.tensors[f"Net/{i}/weights"] == i).all()


TARGETS = {
    "arrays": Target(
        _array_seeds, _read_arrays, _check_arrays,
        (change_header, change_member, change_values, change_values), _hostile_arrays,
    ),
    "run": Target(
        _run_seeds, _read_run, _check_run, mutations.TEXT, named=lambda path: path.parent
    ),
    "manifests": Target(
        _manifest_seeds, _read_manifest, _check_manifest, mutations.TEXT,
        named=lambda path: path.parent,
    ),
    "factors": Target(_factor_seeds, _read_factors, _check_factors, mutations.TEXT),
    "pairs": Target(_pair_seeds, _read_pairs, _check_pairs, mutations.TEXT, _hostile_pairs),
    "archives": Target(
        _archive_seeds, _read_archive, _check_archive, (change_tar,), _hostile_archives
    ),
    "checkpoints": Target(
        _checkpoint_seeds, _read_checkpoint, _check_checkpoint,
        named=lambda path: path.with_name(_PREFIX),
    ),
}  # fmt: skip
