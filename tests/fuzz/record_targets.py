"""Records and the photos that they are made of; see `targets`."""

import dataclasses
import functools
import io
import re
import struct
import types

from tests.fuzz import mutations
from tests.fuzz.target import Target

HEIGHT, WIDTH = 64, 32
_NAME = "Market1501_train_00000-of-00001.tfrecord"


def _pictures():
    """Encoded pictures of a gradient with some noise, by name."""
    import numpy as np
    from PIL import Image

    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    noise = np.random.default_rng(0).integers(0, 40, (HEIGHT, WIDTH))
    pixels = np.stack([rows * 3, columns * 6, noise], axis=-1).astype(np.uint8)
    picture = Image.fromarray(pixels)
    forms = {
        "a.jpg": (picture, "JPEG", {}),
        "progressive.jpg": (picture, "JPEG", {"progressive": True, "quality": 60}),
        "gray.jpg": (picture.convert("L"), "JPEG", {}),
        "cmyk.jpg": (picture.convert("CMYK"), "JPEG", {}),
        "a.png": (picture, "PNG", {}),
        "palette.png": (picture.convert("P"), "PNG", {}),
        "alpha.png": (picture.convert("RGBA"), "PNG", {}),
        "gray.png": (picture.convert("LA"), "PNG", {}),
        "bits.png": (picture.convert("1"), "PNG", {}),
        "a.bmp": (picture, "BMP", {}),
        "a.webp": (picture, "WEBP", {}),
    }
    found = {}
    for name, (image, image_format, options) in forms.items():
        file = io.BytesIO()
        image.save(file, image_format, **options)
        found[name] = file.getvalue()
    return found


def _keypoints(seed):
    import numpy as np

    keypoints = np.random.default_rng(seed).uniform(0, 1, (18, 3)) * (HEIGHT, WIDTH, 1)
    keypoints[:, 2] = keypoints[:, 2] < 0.8
    return (keypoints * keypoints[:, 2:]).astype(np.float32)


# Records.


@functools.cache
def _record_seeds():
    import numpy as np

    from dpig_tf2.records import writer

    pictures = _pictures()
    seeds = {}
    for variant in ("market1501", "deepfashion"):
        persons = [
            writer.Person(
                name, pictures[name], _keypoints(seed), seed, 1, attributes=np.arange(27) % 2
            )
            for seed, name in enumerate(("a.jpg", "a.png", "gray.jpg"))
        ]
        encoder = writer.PairEncoder(
            writer.Format(variant, HEIGHT, WIDTH, 37 if variant == "market1501" else 7)
        )
        pairs = [writer.Pair(persons[i], persons[j]) for i, j in ((0, 1), (1, 2))]
        seeds[f"{variant}.tfrecord"] = _framed(example for example, _ in encoder.encode(pairs))
    return seeds


def _framed(payloads):
    """A record file."""
    return b"".join(
        (head := struct.pack("<Q", len(payload)))
        + struct.pack("<I", _checksum(head))
        + payload
        + struct.pack("<I", _checksum(payload))
        for payload in payloads
    )


def _checksum(data):
    from dpig_tf2.io import crc32c

    return crc32c.masked_crc32c(data)


def _payloads(data):
    """The records of a file, as far as they are framed."""
    found = []
    while len(data) >= 16:
        (length,) = struct.unpack_from("<Q", data)
        if length > len(data) - 16:
            break
        found.append(data[12 : 12 + length])
        data = data[16 + length :]
    return found


def change_payload(data, generator):
    """Damage within a record, whose checksums are right."""
    payloads = _payloads(data) or [b""]
    chosen = generator.randrange(len(payloads))
    payloads[chosen] = mutations.mutate(payloads[chosen], generator, payloads)
    return _framed(payloads)


def change_feature(data, generator):
    """Another value, number of values or type of one key of one record."""
    import tensorflow as tf

    payloads = _payloads(data)
    if not payloads:
        return data
    chosen = generator.randrange(len(payloads))
    try:
        example = tf.train.Example.FromString(payloads[chosen])
    except Exception:  # damaged already
        return data
    features = example.features.feature
    if not features:
        return data
    # Those that the model reads are tried more often than the many that it does not.
    key = generator.choice(sorted(features) + [k for k in sorted(features) if _READ.match(k)] * 3)
    feature = features[key]
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else []
    match generator.randrange(6):
        case 0:
            del features[key]
        case 1 | 2 if values and kind:
            place = generator.randrange(len(values))
            values[place] = generator.choice(_VALUES[kind])
        case 3 if values:
            del values[generator.randrange(len(values)) :]
        case 4 if kind:
            values.extend([generator.choice(_VALUES[kind])] * generator.choice((1, 2, 54)))
        case _:
            feature.Clear()
            if other := generator.choice((*_VALUES, None)):
                values = [generator.choice(_VALUES[other])] * generator.choice((0, 1, len(values)))
                getattr(feature, other).value.extend(values)
                getattr(feature, other).SetInParent()
    payloads[chosen] = example.SerializeToString()
    return _framed(payloads)


_READ = re.compile("image_raw|pose_peaks_._rcv|part_|pose_mask")
_VALUES = {
    "float_list": (
        0.0, 1.0, -1.0, 0.5, 2.0, 63.9, 64.0, 1e7, 1e30, 3e38, -0.99, float("nan"), float("inf")
    ),
    "int64_list": (0, 1, -1, 2, 63, 64, 255, 256, 2**31, 2**63 - 1, -(2**63)),
    "bytes_list": (
        b"", b"x", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"\xff" * 99, b"a\0\x1b[2J.jpg"
    ),
}  # fmt: skip


@functools.cache
def _parse(stored):
    """The pipeline's function from one record to a batch of one, traced once for `stored`."""
    import tensorflow as tf

    from dpig_tf2.pipeline import parser, reading

    keys = (*parser.MODEL_KEYS, *parser.LABEL_KEYS)
    records = types.SimpleNamespace(stored=stored, layout="published")
    parse = reading.person_parser(records, _model(), keys, ())
    return tf.function(parse, input_signature=[tf.TensorSpec([1], tf.string)], autograph=False)


def _model():
    from dpig_tf2 import testing

    return testing.tiny_config().model


@dataclasses.dataclass
class _Read:
    """What the check of the folder said, and what reading each record gave or said."""

    problems: list[str]
    batches: list
    refused: list[int]
    examined: dict[int, list]


def _read_records(path):
    """Refused if the check and the reader refuse the same records, else for `_check_records`."""
    import tensorflow as tf

    from dpig_tf2.records import check, index
    from dpig_tf2.records.record_set import RecordSet
    from dpig_tf2.records.schema import RecordError

    path = path.rename(path.with_name(_NAME))
    report = check.check_folder(path.parent)
    try:
        records = RecordSet.open(path.parent, "train")
    except RecordError as error:
        path.rename(path.with_name("open.tfrecord"))
        if not report.problems:
            return _Read([], [], [0], {})
        raise error
    if (records.height, records.width) != (HEIGHT, WIDTH):
        raise RecordError(f"{path}: images of another size", file=path)  # as screening refuses
    read = _Read(report.problems, [], [], {})
    parse = _parse(frozenset(records.stored))
    for number in range(len(records)):
        read.examined[number] = records.problems(number)
        try:
            read.batches.append(parse(tf.constant([records.reader.read(number)])))
        except (tf.errors.OpError, RecordError, UnicodeDecodeError):
            read.refused.append(number)
    told = {n for n in read.examined if any(f"record {n}:" in line for line in report.problems)}
    named = {n for n, found in read.examined.items() if found}
    damaged = [index.index_file(path).problem] if index.index_file(path).problem else []
    if report.problems and told == named == set(read.refused) and (told or damaged):
        line = report.problems[0]
        assert line.startswith(str(path)), line
        raise RecordError(line, file=path)
    return read


def _check_records(read, path):
    """The check finds what reading refuses, and nothing else; and what is read is in range."""
    import numpy as np

    assert not read.problems and not read.refused and not any(read.examined.values()), (
        f"check and reader disagree: {read.problems}, {read.refused}, {read.examined}"
    )
    assert read.batches
    for batch in read.batches:
        for person in batch.values():
            person = {key: value.numpy() for key, value in person.items()}
            assert person["image"].shape == (1, HEIGHT, WIDTH, 3)
            keypoints, boxes = person["keypoints"][0], person["part_boxes"][0]
            seen = keypoints[:, 2] == 1
            assert np.isfinite(keypoints).all() and np.isin(keypoints[:, 2], (0, 1)).all()
            inside = (keypoints[:, :2] > -1) & (keypoints[:, :2] < (HEIGHT, WIDTH))
            assert inside[seen].all(), keypoints
            assert (boxes >= 0).all() and (boxes < (HEIGHT, WIDTH) * 2).all(), boxes
            assert (boxes[:, :2] <= boxes[:, 2:]).all(), boxes
            assert np.isin(person["body_mask"], (0, 1)).all()
            assert np.isin(person["part_visibility"], (0, 1)).all()


# Photos.


def _read_image(path):
    """The person that a conversion would write."""
    from dpig_tf2.errors import DpigError
    from dpig_tf2.preparation import conversion
    from dpig_tf2.records import writer

    prepared = conversion.PhotoFile(path, _keypoints(1), (HEIGHT, WIDTH)).prepare()
    if not prepared.views:
        assert len(prepared.problems) == 1, prepared.problems
        raise DpigError(prepared.problems[0], file=path)
    if not conversion.is_decoded_alike(prepared):
        raise DpigError(f"{path}: TensorFlow does not decode it as Pillow", file=path)
    (view,) = prepared.views
    return writer.Person(path.name, view.encoded, view.keypoints, identity=0)


def _check_image(person, path):
    """The record made of it is sound, and has the picture that Pillow sees."""
    import numpy as np

    from dpig_tf2.io import images as image_files
    from dpig_tf2.ops import images
    from dpig_tf2.preparation import photos
    from dpig_tf2.records import check, writer

    encoder = writer.PairEncoder(writer.Format("market1501", HEIGHT, WIDTH))
    ((record, _),) = encoder.encode([writer.Pair(person, person)])
    assert not (found := check.problems(record, (HEIGHT, WIDTH))), found
    written = images.decode_image(person.encoded).numpy().astype(int)
    seen = photos.read(path)
    placed = seen.placed(photos.place(seen.size, (HEIGHT, WIDTH), "none")).astype(int)
    written_as_jpeg = person.encoded.startswith(b"\xff\xd8")
    difference = np.abs(written - placed)
    # Damaged pixels are noise, of which JPEG's compression loses most.
    assert difference.mean() < (15 if written_as_jpeg else 1), "another picture than Pillow's"
    if person.encoded == path.read_bytes():
        assert (written == image_files.read_rgb(path)).all(), "another picture than Pillow's"


# The pairs of the lean layout.

_PHOTOS = 40


def _pair_list_seeds():
    import numpy as np

    return {"a.pairs": np.arange(_PHOTOS, dtype="<i4").tobytes(), "empty.pairs": b""}


def _read_pair_list(path):
    from dpig_tf2.records import pair_index

    return pair_index.read_pairs(path, _PHOTOS)


def _check_pair_list(pairs, path):
    """Every pair of the file, of photos that there are."""
    assert pairs.nbytes == path.stat().st_size and pairs.shape[1:] == (2,)
    assert ((pairs >= 0) & (pairs < _PHOTOS)).all()


TARGETS = {
    "pair_lists": Target(_pair_list_seeds, _read_pair_list, _check_pair_list),
    "records": Target(
        _record_seeds, _read_records, _check_records,
        (change_feature, change_feature, change_payload),
        named=lambda path: path.with_name(_NAME), quick=50,
    ),
    "images": Target(_pictures, _read_image, _check_image, quick=100),
}  # fmt: skip
