"""Absurd calls: command lines, and arguments of `PersonSampler`; see `targets`.

A call is a JSON file, so that it can be shown and repeated as a damaged file is.
"""

import contextlib
import functools
import io
import json
import re

from tests.fuzz.target import Target

# Command lines.

# What each verb is given; nothing of it is there, so that no call gets far.
_PERSONS = ["--run_dir=absent", "--data_dir=absent"]
_BASE = {
    "transfer": _PERSONS,
    "reconstruct": _PERSONS,
    "interpolate": _PERSONS,
    "invert": _PERSONS,
    "mix": _PERSONS,
    "overview": _PERSONS,
    "sample": ["--run_dir=absent"],
    "identities": ["--run_dir=absent"],
    "export": ["--run_dir=absent", "--out_dir=out"],
    "evaluate": _PERSONS,
    "evaluate_disentanglement": _PERSONS,
    "evaluate_poses": ["--run_dir=absent", "--keypoints=absent.csv"],
    "train": ["--run_dir=out", "--data_dir=absent", "--preset=synthetic"],
    "import_tf1": ["--run_dir=out", "--preset=market1501", "--reconstruction=absent"],
    "make_records": ["--raw_dir=absent", "--keypoints=absent.csv", "--out_dir=out"],
    "make_synthetic": ["--out_dir=out"],
    "convert_market1501": ["--raw_dir=absent", "--out_dir=out"],
    "convert_deepfashion": ["--raw_dir=absent", "--out_dir=out"],
    "check_records": ["absent"],
}
_LEFT_OUT = ("--download_weights", "--help")
_VALUES = (
    "", "0", "-1", "1", "1e300", "1e-300", "nan", "inf", "-inf", "9" * 400, "1.5", "x", ",", ",,",
    "None", "true", "2147483648", "9223372036854775808", "-9223372036854775808", ".", "..", "/",
    "absent", "absent/" * 60, "x" * 1500, "/dev/null", "a\x1b[2J", "é", "\u202e", "a,a",
    "pose,pose", "foreground,x", "model.hidden=1", "model.hidden=1e99", "x=y",
    "model.hidden=[[[[", "=", "1:2", "0x10", "1_000", " 1",
    "%s", "{}", "$(ls)", "*", "pose", "reconstruction", "train",
    "best", "[" * 999,
)  # fmt: skip
_SURPLUS = ("x", "-", "--", "--x", "-x=1", "--=", "--no", "--=1", "---run_dir=x", "--run_dir")


@functools.cache
def _flags():
    """{verb: its flags, those that take a value with "=" at the end}."""
    from dpig_tf2.cli import program, verbs

    return {
        verb: [name for name in program.flag_names(verbs.load(verb)) if name not in _LEFT_OUT]
        for verb in _BASE
    }


def _draw_command(generator):
    verb = generator.choice(sorted(_BASE))
    given = list(_BASE[verb])
    if given and generator.random() < 0.2:
        given.pop(generator.randrange(len(given)))
    if generator.random() < 0.05:
        given.append("--help")
    for _ in range(generator.choice((1, 1, 2, 3))):
        flags = _flags()[verb]
        if not flags or generator.random() < 0.1:
            given.append(generator.choice(_SURPLUS))
            continue
        flag = generator.choice(flags)
        given.append(flag + generator.choice(_VALUES) if flag.endswith("=") else flag)
    if verb == "make_synthetic":
        given.append("--images_per_identity=1")  # refused: whatever else is asked takes no time
    return json.dumps({"verb": verb, "arguments": given}).encode()


def _command_seeds():
    return {"call.json": json.dumps({"verb": "completion", "arguments": []}).encode()}


def _read_command(path):
    """Output of a call; one that ends with status 1 and one line on stderr is refused."""
    import tensorflow  # noqa: F401  before there is a limit on memory

    from dpig_tf2.cli import program, verbs
    from dpig_tf2.errors import DpigError

    call = json.loads(path.read_text())
    module = verbs.load(call["verb"])
    out, errors, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            program.run(module.__name__, call["arguments"])
        except SystemExit as stop:
            status = stop.code or 0
    lines = [line for line in errors.getvalue().splitlines() if "error: " in line]
    if status == 1 and len(lines) == 1 and "Traceback" not in errors.getvalue():
        raise DpigError(f"{path}: {lines[0]}", file=path)
    assert status == 0, f"status {status}: {errors.getvalue()[-1000:]}"
    return out.getvalue()


def _check_command(output, path):
    assert output, "nothing was said"


# Arguments of PersonSampler.

_COUNT = 2  # persons of a sound call


@functools.cache
def _sampler():
    from dpig_tf2 import PersonSampler, config, testing
    from dpig_tf2.models import factory

    settings = testing.tiny_config()
    names = [
        name for stage in config.STAGES for name in factory.stage_networks(stage, settings.model)
    ]
    names = [name for name in names if not name.endswith(("discriminator", "critic"))]
    sampler = PersonSampler(settings, factory.build_networks(names, settings.model), batch_size=4)
    for verb in _ARGUMENTS:  # traced before there is a limit on time
        _call(sampler, {"verb": verb, "arguments": {}})
    return sampler


_ARGUMENTS = {
    "encode_appearance": ("images", "keypoints"),
    "encode_pose": ("keypoints",),
    "decode_pose": ("code",),
    "map_noise": ("noise", "factor"),
    "draw_noise": ("count", "factor", "seed"),
    "generate": ("appearance_embedding", "keypoints"),
    "transfer": ("images", "keypoints", "target_keypoints", "body_mask", "part_boxes"),
    "sample": ("n", "factors", "seed"),
    "identity": ("n", "seed"),
    "interpolate": ("start", "end", "steps", "factors", "path"),
}
_NUMBERS = (-1, 0, 1, 2, 0.5, 64, 1e7, 1e30, 3e38, "nan", "inf", "-inf")
_SHAPES = (
    [], [0], [1], [2], [18, 3], [1, 18, 3], [2, 18, 3], [3, 18, 3], [2, 17, 3], [2, 18, 2],
    [0, 18, 3], [2, 64, 32, 3], [1, 64, 32, 3], [2, 32, 64, 3], [2, 64, 32, 1], [0, 64, 32, 3],
    [64, 32, 3],
    [2, 8], [2, 16], [2, 36], [1, 8], [3, 8], [2, 7, 4], [2, 64, 32], [2, 8, 1], [1] * 20,
)  # fmt: skip
_DTYPES = ("float32", "float64", "uint8", "int64", "bool", "float16", "complex64", "str", "object")
_PLAIN = (
    None, -1, 0, 1, 1.5, 2**63, 2**64, -(2**70), "", "pose", "foreground", "x", [], ["pose"],
    ["pose", "pose"], ["x"], {}, [[1], [1, 2]], "9" * 400, True, [None], "linear", "spherical",
)  # fmt: skip


def _draw_call(generator):
    verb = generator.choice(sorted(_ARGUMENTS))
    changed = {}
    for _ in range(generator.choice((1, 1, 2))):
        name = generator.choice(_ARGUMENTS[verb])
        match generator.randrange(4):
            case 0:
                changed[name] = {"plain": generator.choice(_PLAIN)}
            case 1:
                changed[name] = {
                    "shape": generator.choice(_SHAPES),
                    "dtype": generator.choice(_DTYPES),
                    "value": generator.choice(_NUMBERS),
                }
            case _:  # a sound array but for one number or its type
                changed[name] = {
                    "at": generator.randrange(1000),
                    "value": generator.choice(_NUMBERS),
                    "dtype": generator.choice((None, None, "float64", "float16", "int64")),
                }
    return json.dumps({"verb": verb, "arguments": changed}).encode()


def _call_seeds():
    return {"call.json": json.dumps({"verb": "encode_pose", "arguments": {}}).encode()}


def _sound(sampler):
    import numpy as np

    from dpig_tf2 import testing
    from dpig_tf2.sampling.person_codes import PersonCodes

    model = sampler.config.model
    person = testing.random_person(model, _COUNT)
    noise = {f: np.full((1, model.embedding_size(f)), 0.1, np.float32) for f in model.factors}
    return {
        "images": person["image"].numpy(),
        "keypoints": person["keypoints"].numpy(),
        "target_keypoints": person["keypoints"].numpy()[::-1],
        "body_mask": person["body_mask"].numpy(),
        "part_boxes": person["part_boxes"].numpy(),
        "code": np.full((_COUNT, model.embedding_size("pose")), 0.1, np.float32),
        "noise": np.full((_COUNT, model.embedding_size("pose")), 0.1, np.float32),
        "appearance_embedding": np.full((_COUNT, model.appearance_embedding), 0.1, np.float32),
        "factor": "pose",
        "factors": ["pose"],
        "count": 2,
        "n": 2,
        "seed": 3,
        "steps": 3,
        "path": "linear",
        "start": PersonCodes(**noise),
        "end": PersonCodes(**{f: -values for f, values in noise.items()}),
    }


def _call(sampler, call):
    import numpy as np

    from dpig_tf2.sampling.person_codes import PersonCodes

    sound = _sound(sampler)
    arguments = {name: sound[name] for name in _ARGUMENTS[call["verb"]]}
    for name, change in call["arguments"].items():
        if "plain" in change and not isinstance(arguments[name], PersonCodes):
            arguments[name] = change["plain"]
        elif "shape" in change:
            value = float(change["value"])
            with np.errstate(all="ignore"):
                arguments[name] = np.full(change["shape"], value).astype(change["dtype"])
        elif isinstance(arguments[name], np.ndarray):
            with np.errstate(all="ignore"):
                array = arguments[name].copy()
                if array.dtype.kind == "f":
                    array.flat[change["at"] % array.size] = float(change["value"])
                arguments[name] = array.astype(change["dtype"] or array.dtype)
    for name in ("start", "end"):
        if isinstance(arguments.get(name), np.ndarray):
            arguments[name] = sound["start"].replace(pose=arguments[name])
    return getattr(sampler, call["verb"])(**arguments)


def _read_call(path):
    from dpig_tf2.errors import DpigError

    sampler = _sampler()
    try:
        return _call(sampler, json.loads(path.read_text()))
    except DpigError as error:
        raise DpigError(f"{path}: {error}", file=path) from error


def _check_call(result, path):
    """Finite numbers, pictures of the model's size."""
    import numpy as np

    model = _sampler().config.model
    arrays = [result] if isinstance(result, np.ndarray) else list(vars(result).values())
    for array in arrays:
        assert len(array), "nothing came back"
        assert np.isfinite(array).all(), "not finite"
        if array.dtype == np.uint8:
            assert array.shape[1:] == (model.height, model.width, 3)


TARGETS = {
    "commands": Target(
        _command_seeds, _read_command, _check_command, draw=_draw_command,
        place=re.compile(r"error: .*(--?\w|/|absent|exist|holds|'|\w+\.\w+)"),
    ),
    "calls": Target(
        _call_seeds, _read_call, _check_call, draw=_draw_call, quick=50,
        place=re.compile("|".join(sorted({n for names in _ARGUMENTS.values() for n in names}))),
    ),
}  # fmt: skip
