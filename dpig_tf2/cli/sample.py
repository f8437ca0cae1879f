"""Generates pictures with trained networks.

    python -m dpig_tf2.cli.sample --run_dir=runs/demo --task=reconstruct --data_dir=data/synthetic
    python -m dpig_tf2.cli.sample --run_dir=runs/demo --task=transfer --all_pairs --limit=8 \
        --images=photos --keypoints=photos/keypoints.csv
    python -m dpig_tf2.cli.sample --run_dir=runs/demo --task=factors --sample=foreground,pose \
        --image=me.jpg --keypoints=me.json --count=8 --seed=1
    python -m dpig_tf2.cli.sample --run_dir=runs/demo --task=interpolate --seeds=1,2 --factors=pose
    python -m dpig_tf2.cli.sample --run_dir=runs/demo --task=identities --out_dir=data/virtual

Tasks:
    overview     one sheet: reconstructed, re-posed, each factor sampled while the others are held
    reconstruct  every person in its own pose
    transfer     every person in the pose of its pair, of everyone (--all_pairs), of another image
                 or of a keypoint file (--target_image, --target_keypoints)
    factors      some factors sampled from noise, the others held
    interpolate  from person to person through the codes, or from seed to seed through the noise
    invert       the noise of real persons, and from person to person through the noise
    mix          body regions of one person on another
    identities   a re-identification set in the layout of Market-1501

Persons come from tf-records (--data_dir, --split), from one image file (--image) or from a folder
(--images), with their --keypoints; without any of these, factors are sampled from noise. Every
task writes pictures, their codes, labelled sheets, and samples.json, which tells what made each
file. Started again, it goes on where it stopped.
"""

import itertools
import pathlib

from absl import flags

from dpig_tf2 import config as configuration
from dpig_tf2.cli.flags import one_line, run_program

_SEEDS = 2**31 - 1  # a seed is an int32 in the SavedModel too

_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Run folder, or a folder written by PersonSampler.save.", required=True
)
_TASK = flags.DEFINE_enum(
    "task",
    None,
    [
        "overview",
        "reconstruct",
        "transfer",
        "factors",
        "interpolate",
        "invert",
        "mix",
        "identities",
    ],
    "What to do.",
)
_OUT_DIR = flags.DEFINE_string("out_dir", None, "Folder; default <run_dir>/samples/<task>.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace what was made with other settings.")
_MAX_SHEETS = flags.DEFINE_integer("max_sheets", 10, "Sheets at most.", lower_bound=0)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images generated at once.", lower_bound=1)
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", configuration.PRECISIONS, "What the networks compute in."
)
_CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "latest", configuration.CHECKPOINTS, "Checkpoint of stage I of a run folder."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of all noise.", lower_bound=0, upper_bound=_SEEDS)

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with tf-records.")
_SPLIT = flags.DEFINE_string("split", "test", "Split in the record files' names.")
_SKIP_BAD = flags.DEFINE_bool("skip_bad_records", False, "Drop and count damaged records.")
_IMAGE = flags.DEFINE_string("image", None, "One image file.")
_IMAGES = flags.DEFINE_string("images", None, "Folder of image files.")
_KEYPOINTS = flags.DEFINE_string("keypoints", None, "Keypoints of the image or images.")
_FORMAT = flags.DEFINE_enum(
    "keypoint_format",
    "auto",
    ["auto", "csv", "pickle", "openpose", "coco", "joint2d"],
    "Format of --keypoints and --target_keypoints.",
)
_RESIZE = flags.DEFINE_enum(
    "resize",
    "letterbox",
    ["none", "stretch", "letterbox"],
    "How images of another size are brought to the model's.",
)
_LIMIT = flags.DEFINE_integer(
    "limit",
    None,
    "Persons at most; pairs for transfer from records; poses for identities. Default: all; 24 for "
    "--all_pairs, 32 for invert, 8 for overview and interpolate, 6 for mix.",
    lower_bound=1,
)

_ALL_PAIRS = flags.DEFINE_bool("all_pairs", False, "Every person in every person's pose.")
_TARGET_KEYPOINTS = flags.DEFINE_string(
    "target_keypoints", None, "Keypoints of the target poses, or of those that identities take."
)
_TARGET_IMAGE = flags.DEFINE_string(
    "target_image", None, "Image file whose pose, found in --target_keypoints, is the target."
)
_TARGET_SIZE = flags.DEFINE_string(
    "target_size", None, "ROWSxCOLUMNS of the images of --target_keypoints; default the model's."
)
_TARGET_LIMIT = flags.DEFINE_integer("target_limit", None, "Target poses at most.", lower_bound=1)

_SAMPLE = flags.DEFINE_multi_string(
    "sample",
    [],
    "Factors sampled together, e.g. --sample=foreground,pose; repeatable. Default: each alone.",
)
_COUNT = flags.DEFINE_integer("count", 8, "Samples of each person.", lower_bound=1)

_FACTORS = flags.DEFINE_multi_string(
    "factors",
    [],
    "Factors that change together on the way, or all; repeatable. Default: each alone, and all.",
)
_BETWEEN = flags.DEFINE_multi_string(
    "between",
    [],
    "NAME,NAME: persons to interpolate between; repeatable. Default: two images of one person, "
    "and two persons.",
)
_SEEDS_BETWEEN = flags.DEFINE_list(
    "seeds", [], "Sampled persons to interpolate between, e.g. --seeds=1,2,3."
)
_STEPS = flags.DEFINE_integer("steps", 9, "Frames of an interpolation.", lower_bound=2)
_PATH = flags.DEFINE_enum(
    "path",
    None,
    ["linear", "spherical"],
    "Of an interpolation. Default: linear between codes (of photos), spherical between noise (of "
    "seeds, or found by invert).",
)
_ANIMATION = flags.DEFINE_enum("animation", "gif", ["gif", "webp", "none"], "Format.")

_CANDIDATES = flags.DEFINE_integer(
    "candidates", 4096, "Random noises of which the nearest start a search.", lower_bound=1
)
_RESTARTS = flags.DEFINE_integer("restarts", 4, "Searches for each noise.", lower_bound=1)
_INVERSION_STEPS = flags.DEFINE_integer("inversion_steps", 1000, "Of a search.", lower_bound=1)
_PRIOR_WEIGHT = flags.DEFINE_float(
    "prior_weight", 1e-4, "Of the noise's squared length in a search.", lower_bound=0.0
)
_TOLERANCE = flags.DEFINE_float(
    "tolerance", 0.05, "Largest relative residual of a converged search.", lower_bound=1e-6
)

_REGIONS = flags.DEFINE_list(
    "regions",
    ["lower_garment"],
    "Taken from the donor: head, upper_body, legs, left_arm, right_arm, left_leg, right_leg; "
    "upper_garment and lower_garment stand for body or legs with both limbs.",
)
_BACKGROUND_OF = flags.DEFINE_string(
    "background_of", None, "NAME: whose background all get. Default: each keeps its own."
)

_IDENTITIES = flags.DEFINE_integer(
    "identities",
    500,
    "Virtual identities for training (bounding_box_train).",
    lower_bound=1,
)
_TEST_IDENTITIES = flags.DEFINE_integer(
    "test_identities",
    0,
    "Further ones for testing: an image for each camera in query, the others in bounding_box_test; "
    "without them these folders are empty.",
    lower_bound=0,
)
_IMAGES_PER_IDENTITY = flags.DEFINE_integer(
    "images_per_identity", 24, "Images of each identity.", lower_bound=1
)

_RECORD_FLAGS = "data_dir split skip_bad_records limit"
_PERSON_FLAGS = f"{_RECORD_FLAGS} image images keypoints keypoint_format resize"
_POSE_FLAGS = "target_keypoints target_size target_limit"
_JOURNEY_FLAGS = "factors between steps path animation seed"
_SEARCH_FLAGS = "candidates restarts inversion_steps prior_weight tolerance"
_FLAGS_OF = {
    "overview": f"{_PERSON_FLAGS} seed precision",
    "reconstruct": f"{_PERSON_FLAGS} precision",
    "transfer": f"{_PERSON_FLAGS} precision all_pairs target_image {_POSE_FLAGS}",
    "factors": f"{_PERSON_FLAGS} sample count seed precision",
    "interpolate": f"{_PERSON_FLAGS} {_JOURNEY_FLAGS} seeds precision",
    # No precision: the search for noise follows gradients, which 16 bits are too coarse for.
    "invert": f"{_PERSON_FLAGS} {_JOURNEY_FLAGS} {_SEARCH_FLAGS}",
    "mix": f"{_PERSON_FLAGS} regions background_of precision",
    "identities": f"{_RECORD_FLAGS} {_POSE_FLAGS} keypoint_format resize identities "
    "images_per_identity seed precision",
}
_NEED_PERSONS = ("overview", "reconstruct", "transfer", "invert", "mix")
# Flags without effect unless another one is given.
_NEED_ANOTHER = {
    "split": "data_dir",
    "skip_bad_records": "data_dir",
    "target_image": "target_keypoints",
    "target_size": "target_keypoints",
    "target_limit": "target_keypoints",
}
_EXCLUDE_EACH_OTHER = (
    ("data_dir", "image", "images"),
    ("all_pairs", "target_keypoints"),
    ("target_image", "target_size"),  # the image tells its own size
    ("target_image", "target_limit"),
    ("seeds", "between"),
    ("seeds", "data_dir"),
    ("seeds", "images"),
)
# These choose how much is made, not what a file of a given name holds.
_AMOUNTS = {
    *"limit target_limit count skip_bad_records sample factors between seeds animation".split(),
    *"identities regions".split(),
}
# But inverting other factors gives other pictures, and poses are drawn from all that were read.
_DECISIVE_AMOUNTS = {"invert": ["factors"], "identities": ["limit", "target_limit"]}
_PATHS = "data_dir image images keypoints target_keypoints target_image".split()
# Sheets of all pairs, and searches, are for a few persons unless --limit says otherwise.
_DEFAULT_LIMITS = {"overview": 8, "transfer": 24, "interpolate": 8, "invert": 32, "mix": 6}


def main(_):
    _check_flags()
    from dpig_tf2.run_folder import RunFolder

    config = RunFolder.open(_RUN_DIR.value).config
    _check_values(config.model)  # before TensorFlow is loaded
    import tensorflow as tf

    try:
        return _run(config.model)
    except tf.errors.OpError as error:
        raise ValueError(one_line(error)) from error


def _run(model):
    from dpig_tf2.execution import Execution
    from dpig_tf2.sampling.mixing import expand_regions
    from dpig_tf2.sampling.output_folder import OutputFolder
    from dpig_tf2.sampling.sampler import PersonSampler
    from dpig_tf2.sampling.tasks.context import Context

    expand_regions(_REGIONS.value)  # refuses unknown names
    _identity_set()  # refuses more than file names can tell apart
    reader = _reader(model)
    scoring = _TASK.value == "identities"
    sampler = PersonSampler.load(
        _RUN_DIR.value,
        Execution(_PRECISION.value),
        _BATCH_SIZE.value,
        _CHECKPOINT.value,
        adversaries=scoring,
    )
    for name in sorted(_networks(model, real=reader is not None)):
        sampler.model.network(name)  # one that is not trained is named before anything is written
    folder = _OUT_DIR.value or pathlib.Path(_RUN_DIR.value, "samples", _TASK.value)
    failures = reader.failures if reader else []
    try:
        with OutputFolder(folder, _settings(sampler), _OVERWRITE.value) as output:
            context = Context(sampler, output, _report(), _MAX_SHEETS.value)
            _TASKS[_TASK.value](context, reader)
    finally:
        for note in reader.notes if reader else ():
            print(f"note: {note}")
        for failure in failures if reader and reader.total > 1 else ():
            print(f"left out: {failure}")
    if failures and not len(output):
        raise ValueError(f"no usable person; {failures[0]}")
    print(f"{len(output)} files in {output.path}, {output.reused} of them from before")
    return 1 if failures else 0


def _check_flags():
    """Raises ValueError naming a flag that is missing or does not belong."""
    if not _TASK.value:
        raise ValueError(f"--task is needed: {', '.join(_FLAGS_OF)}")
    known = {name for names in _FLAGS_OF.values() for name in names.split()}
    given = {name for name in known if flags.FLAGS[name].present}
    for name in sorted(given - set(_FLAGS_OF[_TASK.value].split())):
        raise ValueError(f"--{name} does not apply to --task={_TASK.value}")
    for names in _EXCLUDE_EACH_OTHER:
        together = [f"--{name}" for name in names if name in given]
        if len(together) > 1:
            raise ValueError(f"{' and '.join(together)} exclude each other")
    if not given & {"data_dir", "image", "images"}:
        if _TASK.value in _NEED_PERSONS:
            raise ValueError(f"--task={_TASK.value} needs --data_dir, --image or --images")
        if "between" in given:
            raise ValueError("--between needs --data_dir or --images")
    if bool(given & {"image", "images"}) != ("keypoints" in given):
        raise ValueError("--keypoints and --image (or --images) come together")
    for name, other in _NEED_ANOTHER.items():
        if name in given and other not in given:
            raise ValueError(f"--{name} needs --{other}")
    if _RESTARTS.value > _CANDIDATES.value:
        raise ValueError(
            f"--restarts={_RESTARTS.value} start from as many of --candidates={_CANDIDATES.value}"
        )
    if _TASK.value == "transfer" and "data_dir" not in given:
        if not given & {"all_pairs", "target_keypoints"}:
            raise ValueError("--task=transfer needs --target_keypoints or --all_pairs for images")
    if _TASK.value == "identities" and {"data_dir", "target_keypoints"} <= given:
        raise ValueError("--data_dir and --target_keypoints: identities take poses from one")


def _check_values(model):
    """Raises ValueError naming a flag whose value cannot be used."""
    _subsets(model, _SAMPLE.value)
    _subsets(model, _FACTORS.value)
    _size(_TARGET_SIZE.value)
    _seeds()
    for text in _BETWEEN.value:
        if len(text.split(",")) != 2:
            raise ValueError(f"--between={text}: expected NAME,NAME")


def _subsets(model, texts):
    """The factors of every flag value; each factor alone without one."""
    subsets = [model.factors if text == "all" else tuple(text.split(",")) for text in texts]
    for subset in subsets:
        for factor in subset:
            model.check_factor(factor)
        if len(set(subset)) < len(subset):
            raise ValueError(f"a factor is named twice in {','.join(subset)}")
    return subsets or [(factor,) for factor in model.factors]


def _seeds():
    """The seeds of --seeds; --seed and the next without it."""
    if not _SEEDS_BETWEEN.value:
        return [_SEED.value, (_SEED.value + 1) % (_SEEDS + 1)]
    for text in _SEEDS_BETWEEN.value:
        if not (text.isdecimal() and int(text) <= _SEEDS):
            raise ValueError(f"--seeds: {text!r} is not a number from 0 to {_SEEDS}")
    if len(_SEEDS_BETWEEN.value) < 2:
        raise ValueError("--seeds needs at least two numbers")
    return [int(text) for text in _SEEDS_BETWEEN.value]


def _settings(sampler):
    """Everything that decides what a file of a given name holds."""
    decisive = set(_DECISIVE_AMOUNTS.get(_TASK.value, ()))
    if _TEST_IDENTITIES.value:  # they are numbered behind those for training
        decisive.add("identities")
    settings = {"task": _TASK.value, "networks": sampler.fingerprint()}
    for name in _FLAGS_OF[_TASK.value].split():
        value = flags.FLAGS[name].value
        if name in _PATHS and value:
            value = str(pathlib.Path(value).resolve())
        if name not in _AMOUNTS or name in decisive:
            settings[name] = value
    return settings


def _networks(model, real):
    """Names of the networks that the task runs; `real`: whether there are real persons."""
    mapped, decoded = set(), set()  # factors from noise; factors that leave their embedding
    if _TASK.value == "factors":
        sampled = {factor for subset in _subsets(model, _SAMPLE.value) for factor in subset}
        mapped = sampled if real else set(model.factors)
        decoded = mapped
    elif _TASK.value == "interpolate":
        mapped = set() if real else set(model.factors)
        decoded = mapped | {f for subset in _journey_subsets(model) for f in subset}
    elif _TASK.value == "invert":
        decoded = mapped = {f for subset in _journey_subsets(model) for f in subset}
    elif _TASK.value == "identities":
        real_poses = real or _TARGET_KEYPOINTS.value
        mapped = set(model.appearance_factors if real_poses else model.factors)
        real, decoded = False, mapped
    names = {"generator"} | {f"{factor}_mapping" for factor in mapped}
    if real:
        names.add("appearance_encoder")
    if "pose" in decoded:
        names |= {"pose_decoder"}
        if real and _TASK.value in ("interpolate", "invert"):
            names.add("pose_encoder")
    return names


def _report():
    """Prints progress with the time left, a line for each label."""
    from dpig_tf2.progress import Progress

    lines = {}

    def report(label, done, total):
        if label not in lines:
            lines[label] = Progress(label, total)
        lines[label].update(done)

    return report


# ---- persons and poses


def _reader(model):
    """Reader of the persons that the flags name, or None."""
    from dpig_tf2.preparation.photos import list_images
    from dpig_tf2.sampling.readers import FileReader, RecordReader

    limit = _LIMIT.value
    if limit is None and (_TASK.value != "transfer" or _ALL_PAIRS.value):
        limit = _DEFAULT_LIMITS.get(_TASK.value)
    if _DATA_DIR.value:
        return RecordReader(
            _DATA_DIR.value,
            _SPLIT.value,
            model,
            _BATCH_SIZE.value,
            limit,
            _SKIP_BAD.value,
            # Two images of one person are wanted.
            both_sides=_TASK.value in ("interpolate", "invert"),
        )
    if _IMAGE.value:
        image = pathlib.Path(_IMAGE.value)
        folder, names = image.parent, [image.name]
    elif _IMAGES.value:
        folder = pathlib.Path(_IMAGES.value)
        names = list_images(folder)
    else:
        return None
    return FileReader(
        folder,
        names,
        _KEYPOINTS.value,
        _FORMAT.value,
        _RESIZE.value,
        model,
        _BATCH_SIZE.value,
        limit,
    )


def _targets(model):
    """The poses of --target_keypoints, with their image if --target_image names one."""
    from dpig_tf2.sampling.persons import concatenate
    from dpig_tf2.sampling.readers import FileReader, read_poses

    if _TARGET_IMAGE.value:
        image = pathlib.Path(_TARGET_IMAGE.value)
        reader = FileReader(
            image.parent,
            [image.name],
            _TARGET_KEYPOINTS.value,
            _FORMAT.value,
            _RESIZE.value,
            model,
            batch_size=1,
        )
        batches = list(reader.persons())
        if reader.failures:
            raise ValueError(reader.failures[0])
        return concatenate(batches)
    poses, problems = read_poses(
        _TARGET_KEYPOINTS.value,
        _FORMAT.value,
        _size(_TARGET_SIZE.value),
        _RESIZE.value,
        model,
        _TARGET_LIMIT.value,
    )
    for problem in problems:
        print(f"note: {problem}")
    return poses


def _size(text):
    """(rows, columns) of "ROWSxCOLUMNS"; None for None."""
    if text is None:
        return None
    rows, _, columns = text.partition("x")
    if not (rows.isdecimal() and columns.isdecimal() and int(rows) and int(columns)):
        raise ValueError(f"--target_size={text}: expected ROWSxCOLUMNS, e.g. 128x64")
    return int(rows), int(columns)


def _tracked(context, reader, batches, label=None):
    """The batches, with progress printed when each one has been worked on."""
    label = label or _TASK.value
    context.report(label, 0, reader.total)
    for batch in batches:
        yield batch
        context.report(label, reader.done, reader.total)


def _one_by_one(context, persons):
    """Every person alone, with progress as `_tracked` gives it."""
    context.report(_TASK.value, 0, len(persons))
    for i in range(len(persons)):
        yield persons.take([i])
        context.report(_TASK.value, i + 1, len(persons))


# ---- tasks


def _overview(context, reader):
    from dpig_tf2.sampling.tasks.overview import overview

    overview(context, _few_persons(reader), _SEED.value)


def _reconstruct(context, reader):
    from dpig_tf2.sampling.tasks.reconstruct import reconstruct

    reconstruct(context, _tracked(context, reader, reader.persons()))


def _transfer(context, reader):
    from dpig_tf2.sampling.persons import concatenate
    from dpig_tf2.sampling.tasks.context import ROWS_PER_SHEET
    from dpig_tf2.sampling.tasks.transfer import transfer, transfer_grid

    if _ALL_PAIRS.value:
        persons = concatenate(reader.persons())
        transfer_grid(context, _one_by_one(context, persons), persons, len(persons))
    elif _TARGET_KEYPOINTS.value:
        targets = _targets(context.sampler.config.model)
        batches = _tracked(context, reader, reader.persons())
        transfer_grid(context, batches, targets, ROWS_PER_SHEET)
    else:
        transfer(context, _tracked(context, reader, reader.pairs()))


def _factors(context, reader):
    from dpig_tf2.sampling.tasks.sample import sample_factors, sample_persons

    subsets = _subsets(context.sampler.config.model, _SAMPLE.value)
    if reader is None:
        sample_persons(context, subsets, _COUNT.value, _SEED.value)
        return
    batches = _tracked(context, reader, reader.persons())
    sample_factors(context, batches, subsets, _COUNT.value, _SEED.value)


def _interpolate(context, reader):
    from dpig_tf2.sampling.tasks import interpolate

    if reader is None:
        ends = [interpolate.seed_endpoint(context, seed) for seed in _seeds()]
        pairs = list(itertools.pairwise(ends))
        interpolate.interpolate(context, pairs, _journey(context, "spherical"))
        return
    persons = _few_persons(reader)
    ends = interpolate.person_endpoints(context, persons)
    pairs = [(ends[i], ends[j]) for i, j in _pairs(persons)]
    interpolate.interpolate(context, pairs, _journey(context, "linear"))


def _invert(context, reader):
    from dpig_tf2.sampling.inversion import InversionSettings
    from dpig_tf2.sampling.tasks.interpolate import interpolate
    from dpig_tf2.sampling.tasks.invert import invert

    settings = InversionSettings(
        candidates=_CANDIDATES.value,
        steps=_INVERSION_STEPS.value,
        restarts=_RESTARTS.value,
        prior_weight=_PRIOR_WEIGHT.value,
        tolerance=_TOLERANCE.value,
    )
    persons = _few_persons(reader)
    journey = _journey(context, "spherical")
    factors = tuple(dict.fromkeys(factor for subset in journey.subsets for factor in subset))
    ends = invert(context, persons, factors, settings, _SEED.value)
    for factor, figures in context.output.summary.items():
        variance = figures["explained_variance"]
        explained = "" if variance is None else f", {variance:.1%} of the variance explained"
        print(
            f"{factor}: {figures['converged']} of {figures['photos']} converged, relative "
            f"residual {figures['mean_residual']:.4f}{explained}; noise of "
            f"{figures['mean_spread']:.1f} standard deviations"
        )
    if len(persons) > 1:
        pairs = [(ends[i], ends[j]) for i, j in _pairs(persons)]
        interpolate(context, pairs, journey)


def _mix(context, reader):
    from dpig_tf2.sampling.tasks.mix import mix

    persons = _few_persons(reader)
    for note in mix(context, persons, _REGIONS.value, _BACKGROUND_OF.value):
        print(f"note: {note}")


def _identities(context, reader):
    from dpig_tf2.sampling.persons import Persons, concatenate
    from dpig_tf2.sampling.tasks.identities import write_identities

    poses = None
    if reader:
        batches = _tracked(context, reader, reader.persons(), "real poses")
        read = (Persons(batch.names, batch.keypoints) for batch in batches)
        poses = concatenate(read)
    elif _TARGET_KEYPOINTS.value:
        poses = _targets(context.sampler.config.model)
    if "discriminator" not in context.sampler.model.networks:
        print("note: no discriminator in this folder, images are not scored")
    write_identities(context, _identity_set(), _SEED.value, poses)


def _identity_set():
    """What --identities and its kin ask for."""
    from dpig_tf2.sampling.tasks.identities import IdentitySet

    return IdentitySet(_IDENTITIES.value, _IMAGES_PER_IDENTITY.value, _TEST_IDENTITIES.value)


def _few_persons(reader):
    from dpig_tf2.sampling.persons import concatenate

    return concatenate(reader.persons())


def _pairs(persons):
    """Positions of the persons of every --between; a telling choice without it."""
    from dpig_tf2.sampling.tasks.interpolate import default_pairs

    if len(persons) < 2:
        raise ValueError(f"an interpolation needs two persons, got {len(persons)}")
    if not _BETWEEN.value:
        return default_pairs(persons)
    named = [text.split(",") for text in _BETWEEN.value]
    return [(persons.position(first), persons.position(second)) for first, second in named]


def _journey(context, default_path):
    from dpig_tf2.sampling.tasks.interpolate import InterpolationSettings

    subsets = _journey_subsets(context.sampler.config.model)
    return InterpolationSettings(
        subsets, _STEPS.value, _PATH.value or default_path, _ANIMATION.value
    )


def _journey_subsets(model):
    """The factors of every --factors; without one, each factor alone and all together."""
    subsets = _subsets(model, _FACTORS.value)
    return subsets if _FACTORS.value else [*subsets, model.factors]


_TASKS = {
    "overview": _overview,
    "reconstruct": _reconstruct,
    "transfer": _transfer,
    "factors": _factors,
    "interpolate": _interpolate,
    "invert": _invert,
    "mix": _mix,
    "identities": _identities,
}


def run():
    run_program("dpig-sample", main)


if __name__ == "__main__":
    run()
