"""Writes tf-records from raw data, checks a folder of them, or fetches archives.

    python -m dpig_tf2.cli.make_records --source=synthetic --split=train --out_dir=data/synthetic
    python -m dpig_tf2.cli.make_records --source=keypoints --raw_dir=photos \
        --keypoints=photos/keypoints.csv --resize=letterbox --split=train --out_dir=data/mine
    python -m dpig_tf2.cli.make_records --source=market1501 --raw_dir=raw --split=train \
        --out_dir=data/market1501
    python -m dpig_tf2.cli.make_records --check=data/synthetic
    python -m dpig_tf2.cli.make_records --download=market1501 --out_dir=data/market1501
"""

import os
import pathlib

from absl import flags

from dpig_tf2.cli.flags import run_program

_FIRST_NOTES = 20  # notes printed of a conversion
_SOURCES = ("market1501", "deepfashion", "keypoints", "synthetic")

_SOURCE = flags.DEFINE_enum("source", None, _SOURCES, "What the records are made from.")
_CHECK = flags.DEFINE_string(
    "check", None, "Folder of records to report on; the exit status tells whether all is well."
)
_DOWNLOAD = flags.DEFINE_enum(
    "download",
    None,
    ["market1501", "deepfashion"],
    "Dataset whose published archives are fetched and unpacked to --out_dir.",
)
_ARCHIVE = flags.DEFINE_multi_enum(
    "archive",
    ["train", "test"],
    ["train", "test", "raw"],
    "Archives to download: records of the splits, or the raw images to convert.",
)
_MIRROR = flags.DEFINE_multi_string(
    "mirror",
    [],
    "URL or path of an archive, or of a folder that holds the archives under their published "
    "names; any number, tried in order, then those in the environment variable "
    "DPIG_MARKET1501_MIRRORS or DPIG_DEEPFASHION_MIRRORS (separated by spaces), then the release's "
    "host.",
)
_SHA256 = flags.DEFINE_string(
    "sha256", None, "Expected checksum of the archive, hexadecimal; for one --archive."
)
_SPLIT = flags.DEFINE_string("split", "train", "Split: part of the file names.")
_RAW_DIR = flags.DEFINE_string("raw_dir", None, "Folder of raw data; for keypoints: the images.")
_OUT_DIR = flags.DEFINE_string("out_dir", None, "Folder for the records, created if absent.")
_NUM_SHARDS = flags.DEFINE_integer("num_shards", 1, "Record files to cut into.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of everything that is drawn or shuffled.", lower_bound=0)
_PARTS = flags.DEFINE_enum("parts", "37", ["7", "37"], "Part regions in the records.")
_HEIGHT = flags.DEFINE_integer("height", None, "Image rows, pixels.", lower_bound=16)
_WIDTH = flags.DEFINE_integer("width", None, "Image columns, pixels.", lower_bound=16)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace records made with other settings.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print what would be written and stop.")

_IDENTITIES = flags.DEFINE_integer("identities", 150, "Synthetic persons.", lower_bound=1)
_IMAGES_PER_IDENTITY = flags.DEFINE_integer(
    "images_per_identity", 12, "Images of each synthetic person.", lower_bound=2
)
_PAIRS_PER_IMAGE = flags.DEFINE_integer(
    "pairs_per_image", 3, "Targets that each synthetic image is paired with.", lower_bound=1
)
_FIRST_IDENTITY = flags.DEFINE_integer(
    "first_identity", None, "Number of the first synthetic person.", lower_bound=1
)

_KEYPOINTS = flags.DEFINE_string("keypoints", None, "File or folder with the images' keypoints.")
_KEYPOINT_FORMAT = flags.DEFINE_enum(
    "keypoint_format",
    "auto",
    ["auto", "csv", "pickle", "openpose", "coco", "joint2d"],
    "Format of --keypoints.",
)
_VARIANT = flags.DEFINE_enum(
    "variant",
    "keypoints",
    ["keypoints", "market1501", "deepfashion"],
    "Schema and box rule of the records made from own images.",
)
_RESIZE = flags.DEFINE_enum(
    "resize",
    "none",
    ["none", "stretch", "letterbox"],
    "How images of another size are brought to --height x --width.",
)
_IDENTITY = flags.DEFINE_string(
    "identity",
    "([^_]+)_",
    "Who is on an image: a pattern whose group is matched at the start of the name, 'column' (of "
    "the keypoint CSV), or 'image' (everyone another).",
)
_PAIRS = flags.DEFINE_enum(
    "pairs",
    "same_identity",
    ["same_identity", "each_once", "one_to_all"],
    "Which own images form a pair.",
)
_PAIRS_CSV = flags.DEFINE_string("pairs_csv", None, "File of from,to rows, in place of --pairs.")
_FLIP = flags.DEFINE_bool(
    "flip",
    None,
    "Add every pair once more, mirrored left to right. Default: for Market-1501's train only.",
)
_PERSON_ONLY = flags.DEFINE_bool(
    "person_only",
    False,
    "DeepFashion: keypoints of one person, not the first candidate of each keypoint.",
)

_EVERY_SOURCE = "source split out_dir num_shards overwrite parts"
_FROM_FILES = f"{_EVERY_SOURCE} raw_dir dry_run flip"
# By flag name; every flag below that is given must belong to what is asked for.
_FLAGS_OF = {
    "check": "check",
    "download": "download archive out_dir mirror sha256",
    "market1501": _FROM_FILES,
    "deepfashion": f"{_FROM_FILES} person_only",
    "keypoints": f"{_FROM_FILES} height width seed keypoints keypoint_format variant resize "
    "identity pairs pairs_csv",
    "synthetic": f"{_EVERY_SOURCE} height width seed identities images_per_identity "
    "pairs_per_image first_identity",
}
_NEEDED = {
    "check": "check",
    "download": "out_dir",
    "market1501": "raw_dir out_dir",
    "deepfashion": "raw_dir out_dir",
    "keypoints": "raw_dir keypoints out_dir",
    "synthetic": "out_dir",
}


def main(_):
    jobs = {
        "check": _check,
        "download": _download,
        "market1501": _market1501,
        "deepfashion": _deepfashion,
        "keypoints": _keypoints,
        "synthetic": _synthetic,
    }
    return jobs[_job()]()


def _job():
    """What is asked for; raises ValueError naming a flag that is missing or does not belong."""
    asked = [flag for flag in (_SOURCE, _CHECK, _DOWNLOAD) if flag.value]
    if len(asked) != 1:
        raise ValueError(
            "give one of --source (write records), --check (report on a folder) and --download"
        )
    job = _SOURCE.value or asked[0].name
    known = set(" ".join(_FLAGS_OF.values()).split())
    for name in sorted(known - set(_FLAGS_OF[job].split())):
        if flags.FLAGS[name].present:
            raise ValueError(f"--{name} does not apply to --{_describe(job)}")
    for name in _NEEDED[job].split():
        if not flags.FLAGS[name].value:
            raise ValueError(f"--{name} is needed for --{_describe(job)}")
    if flags.FLAGS["pairs_csv"].present and flags.FLAGS["pairs"].present:
        raise ValueError("--pairs_csv takes the place of --pairs: give one of them")
    if _SHA256.value and len(_ARCHIVE.value) > 1:
        raise ValueError("--sha256 is of one archive: name it with --archive")
    return job


def _describe(job):
    return f"source={job}" if job in _SOURCES else job


def _check():
    from dpig_tf2.progress import Progress
    from dpig_tf2.records import check

    lines = {}

    def progress(name, done, total):
        lines.setdefault(name, Progress(f"checking {name}", total)).update(done)

    report = check.check_folder(_CHECK.value, progress)
    print(report)
    return 0 if report.ok else 1


def _download():
    from dpig_tf2.preparation import downloads

    variable = f"DPIG_{_DOWNLOAD.value.upper()}_MIRRORS"
    mirrors = [*_MIRROR.value, *os.environ.get(variable, "").split()]
    published = downloads.PUBLISHED[_DOWNLOAD.value]
    folder = pathlib.Path(_OUT_DIR.value)
    sources = downloads.sources_of([published[name] for name in _ARCHIVE.value], mirrors)
    for name, places in sources.items():
        try:
            archive = downloads.fetch(folder / name, places, _SHA256.value)
        except downloads.DownloadError as error:
            raise ValueError(
                f"{error}: give --mirror=URL, --mirror=FILE or {variable}, or unpack the archive "
                f"yourself so that its .tfrecord files or raw folders lie in {folder}"
            ) from error
        # Pipelines read one folder, but the archives have theirs.
        paths = downloads.unpack(archive, folder, flat=".tfrecord")
        folders = sorted({str(path.parent) for path in paths})
        print(f"{len(paths)} files of {archive} unpacked to {', '.join(folders)}", flush=True)


def _market1501():
    from dpig_tf2.preparation import market1501

    _print_conversion(market1501.convert(_RAW_DIR.value, _OUT_DIR.value, _SPLIT.value, _options()))


def _deepfashion():
    from dpig_tf2.preparation import deepfashion

    _print_conversion(
        deepfashion.convert(
            _RAW_DIR.value,
            _OUT_DIR.value,
            _SPLIT.value,
            _PERSON_ONLY.value,
            _options(),
        )
    )


def _options():
    from dpig_tf2.preparation import conversion

    return conversion.Options(
        flip=_FLIP.value,
        parts=int(_PARTS.value),
        num_shards=_NUM_SHARDS.value,
        overwrite=_OVERWRITE.value,
        dry_run=_DRY_RUN.value,
    )


def _synthetic():
    from dpig_tf2.preparation import synthetic_records

    written = synthetic_records.write(
        _OUT_DIR.value,
        _SPLIT.value,
        identities=_IDENTITIES.value,
        images_per_identity=_IMAGES_PER_IDENTITY.value,
        pairs_per_image=_PAIRS_PER_IMAGE.value,
        height=_HEIGHT.value or 48,
        width=_WIDTH.value or 24,
        parts=int(_PARTS.value),
        seed=_SEED.value,
        num_shards=_NUM_SHARDS.value,
        first_identity=_FIRST_IDENTITY.value,
        overwrite=_OVERWRITE.value,
    )
    _print_written(written)


def _keypoints():
    from dpig_tf2.preparation import keypoint_folder

    conversion = keypoint_folder.convert(
        _RAW_DIR.value,
        _KEYPOINTS.value,
        _OUT_DIR.value,
        _SPLIT.value,
        keypoint_format=_KEYPOINT_FORMAT.value,
        variant=_VARIANT.value,
        height=_HEIGHT.value,
        width=_WIDTH.value,
        resize=_RESIZE.value,
        identity=_IDENTITY.value,
        pair_mode=_PAIRS.value,
        pairs_csv=_PAIRS_CSV.value,
        seed=_SEED.value,
        options=_options(),
    )
    _print_conversion(conversion)


def _print_conversion(conversion):
    # A dry run tells all; otherwise the manifest does.
    shown = _FIRST_NOTES if conversion.written else len(conversion.problems)
    for problem in conversion.problems[:shown]:
        print(f"note: {problem}")
    if conversion.problems[shown:]:
        print(f"note: {len(conversion.problems) - shown} more, all of them in the manifest")
    print(conversion.plan)
    if conversion.written:
        _print_written(conversion.written)


def _print_written(written):
    reused = f", {written.reused} files were there already" if written.reused else ""
    print(f"{written.examples} examples in {written.shards[0].parent}{reused}")


def run():
    run_program("dpig-make-records", main)


if __name__ == "__main__":
    run()
