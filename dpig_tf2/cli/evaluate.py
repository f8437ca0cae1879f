"""Scores images or poses and writes them as JSON.

    python -m dpig_tf2.cli.evaluate --run_dir=runs/demo --data_dir=data/synthetic --split=test
    python -m dpig_tf2.cli.evaluate --task=disentanglement --run_dir=runs/demo \
        --data_dir=data/synthetic --split=test
    python -m dpig_tf2.cli.evaluate --task=poses --run_dir=runs/poses --keypoints=poses.csv \
        --hold_out=0.1
    python -m dpig_tf2.cli.evaluate --generated=out --target=photos

Tasks:
    reconstruct, transfer  pictures of a record split, made by the run's networks
    folders                two folders of image files, matched by name, without a model
    disentanglement        synthetic persons: swapped factors against their true renders
    poses                  the pose stages on poses held out of a keypoint CSV

Inception score, masked inception score, FID and KID need InceptionV3 as keras.applications has it:
--inception_weights names `inception_v3_weights_tf_dim_ordering_tf_kernels.h5` (or the same network
saved as .weights.h5), or --download_weights lets Keras fetch that file. LPIPS needs
--lpips_weights, a file that evaluation/lpips.py tells how to make. Nothing is downloaded otherwise:
what is not computed is null in the JSON, with the reason. Pose error needs the keypoints that a
detector found in the generated pictures (--save_pictures writes these for records).
"""

import json
import pathlib

from absl import flags

from dpig_tf2 import config as configuration
from dpig_tf2.cli.flags import run_program
from dpig_tf2.io import array_files

PROTOCOLS = ("dpig", "patn", "tf")
TASKS = ("reconstruct", "transfer", "folders", "disentanglement", "poses")
_RECORD_TASKS = ("reconstruct", "transfer")
_PICTURE_TASKS = (*_RECORD_TASKS, "folders")

_TASK = flags.DEFINE_enum(
    "task", None, TASKS, "What is scored; default folders with --generated, else transfer."
)
_RUN_DIR = flags.DEFINE_string("run_dir", None, "Run folder; its metrics.json takes the scores.")
_OUT = flags.DEFINE_string("out", None, "JSON file; default <run_dir>/metrics.json.")
_CHECKPOINT = flags.DEFINE_enum(
    "checkpoint", "latest", configuration.CHECKPOINTS, "Checkpoint of stage I of a run folder."
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of sampled poses, and of the persons that probes are fitted on.", lower_bound=0
)

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with tf-records.")
_SPLIT = flags.DEFINE_string("split", "test", "Split in the record files' names.")
_LIMIT = flags.DEFINE_integer(
    "limit", None, "Pairs scored at most; default all, 200 for disentanglement.", lower_bound=1
)
_SKIP_BAD = flags.DEFINE_bool("skip_bad_records", False, "Drop and name damaged records.")
_SAVE = flags.DEFINE_string(
    "save_pictures", None, "New folder for the scored pairs: generated, target, masks, keypoints."
)

_GENERATED = flags.DEFINE_string("generated", None, "Folder of generated images.")
_TARGET = flags.DEFINE_string("target", None, "Folder of target images.")
_MASKS = flags.DEFINE_string("masks", None, "Folder of masks, for mask-SSIM and masked IS.")
_UNMATCHED = flags.DEFINE_bool(
    "allow_unmatched", False, "Score the common names of folders whose names differ."
)
_GENERATED_KEYPOINTS = flags.DEFINE_string(
    "generated_keypoints", None, "Keypoints found in the generated images, for the pose error."
)
_TARGET_KEYPOINTS = flags.DEFINE_string(
    "target_keypoints", None, "Keypoints of the target images, for the pose error."
)

_PROTOCOL = flags.DEFINE_enum("protocol", "dpig", PROTOCOLS, "SSIM protocol.")
_INCEPTION = flags.DEFINE_string(
    "inception_weights", None, "Keras file of InceptionV3 with its classifier, for IS, FID, KID."
)
_DOWNLOAD = flags.DEFINE_bool("download_weights", False, "Let Keras download these weights.")
_LPIPS = flags.DEFINE_string("lpips_weights", None, "VGG16 and linear layers (.npz), for LPIPS.")

_PROBE_PERSONS = flags.DEFINE_integer(
    "probe_persons",
    900,
    "New synthetic persons for the linear probes: two thirds fitted on, one third scored.",
    lower_bound=60,
)

_KEYPOINTS = flags.DEFINE_string("keypoints", None, "Keypoint CSV of task poses, pixels.")
_HOLD_OUT = flags.DEFINE_float(
    "hold_out", None, "Share of --keypoints that training held out: the same as there.", 0.0, 0.9
)

_NEEDED = {
    "reconstruct": ("run_dir", "data_dir"),
    "transfer": ("run_dir", "data_dir"),
    "folders": ("generated", "target"),
    "disentanglement": ("run_dir", "data_dir"),
    "poses": ("run_dir", "keypoints", "hold_out"),
}
# Flags that only some tasks read.
_TASKS_OF = {
    "data_dir split limit": (*_RECORD_TASKS, "disentanglement"),
    "skip_bad_records save_pictures": _RECORD_TASKS,
    "protocol inception_weights download_weights lpips_weights": _PICTURE_TASKS,
    "generated target masks allow_unmatched generated_keypoints target_keypoints": ("folders",),
    "keypoints hold_out": ("poses",),
    "probe_persons": ("disentanglement",),
    "seed": ("disentanglement", "poses"),
}


def main(_):
    task = _task()
    _check_flags(task)
    scores = _RUNNERS[task]()
    print(json.dumps(_brief(scores), indent=2))
    _write(task, scores)
    skipped = scores.get("skipped", [])
    for line in skipped:
        print(f"skipped: {line}")
    return 1 if skipped else 0


def _task():
    return _TASK.value or ("folders" if _GENERATED.value or _TARGET.value else "transfer")


def _check_flags(task):
    for name in _NEEDED[task]:
        if not flags.FLAGS[name].value:
            raise ValueError(f"--{name} is needed by --task={task}")
    for names, tasks in _TASKS_OF.items():
        for name in names.split():
            if flags.FLAGS[name].present and task not in tasks:
                raise ValueError(f"--{name} does not apply to --task={task}")
    if bool(_GENERATED_KEYPOINTS.value) != bool(_TARGET_KEYPOINTS.value):
        raise ValueError("--generated_keypoints and --target_keypoints come together")
    if _INCEPTION.value and _DOWNLOAD.value:
        raise ValueError("--inception_weights and --download_weights exclude each other")


def _image_scores():
    """Takes the pairs, with the networks that the flags name."""
    from dpig_tf2.evaluation.image_scores import ImageScores

    inception = lpips = None
    if _INCEPTION.value or _DOWNLOAD.value:
        from dpig_tf2.evaluation.inception import Inception

        inception = Inception(_INCEPTION.value)
    if _LPIPS.value:
        from dpig_tf2.evaluation.lpips import Lpips

        lpips = Lpips(_LPIPS.value)
    return ImageScores(_PROTOCOL.value, inception, lpips)


def _score_records():
    from dpig_tf2.evaluation.picture_folder import PictureFolder
    from dpig_tf2.evaluation.records import score_records
    from dpig_tf2.pipeline.screening import usable_records
    from dpig_tf2.records.record_set import RecordSet

    task, sampler = _task(), _sampler()
    records = RecordSet.open(_DATA_DIR.value, _SPLIT.value)
    if _SKIP_BAD.value:
        records = usable_records(records, sampler.config.model, skip_bad_records=True)
    pictures = PictureFolder(_SAVE.value) if _SAVE.value else None
    scores, examples = score_records(
        sampler, records, task, _image_scores(), _LIMIT.value, _report, pictures
    )
    _save_sheet(task, examples, ["source", "generated", "target"])
    return scores | _provenance()


def _score_disentanglement():
    from dpig_tf2.evaluation import disentanglement
    from dpig_tf2.io.images import save_png
    from dpig_tf2.preparation.synthetic_records import factors_path
    from dpig_tf2.run_folder import RunFolder

    factors = disentanglement.load_factors(factors_path(_DATA_DIR.value, _SPLIT.value))
    sampler = _sampler()
    model = sampler.config.model
    pairs = disentanglement.choose_pairs(factors, _LIMIT.value or 200)
    _report(f"rendering {len(pairs)} pairs")
    persons = disentanglement.SyntheticPersons(pairs, factors, model.height, model.width)
    scores, sheet = disentanglement.measure(sampler, persons, _report)
    scores["probes"] = disentanglement.probe_codes(
        sampler, factors, _PROBE_PERSONS.value, _SEED.value, _report
    )
    path = RunFolder.open(_RUN_DIR.value).samples / "disentanglement.png"
    save_png(path, disentanglement.with_tables(sheet, scores))
    print(f"picture: {path}")
    return scores | _provenance()


def _score_poses():
    from dpig_tf2.evaluation.poses import score_poses
    from dpig_tf2.io.images import save_png
    from dpig_tf2.pipeline.arrays import hold_out
    from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv
    from dpig_tf2.run_folder import RunFolder

    _, keypoints = read_keypoint_csv(_KEYPOINTS.value)
    training, held_out = (
        part[(part[..., 2] > 0).any(axis=1)] for part in hold_out(keypoints, _HOLD_OUT.value)
    )
    if len(held_out) < 4:
        raise ValueError(f"--hold_out={_HOLD_OUT.value}: {len(held_out)} poses are too few")
    sampler = _sampler()
    scores, sheet = score_poses(sampler, training, held_out, _SEED.value)
    path = RunFolder.open(_RUN_DIR.value).samples / "poses.png"
    save_png(path, sheet)
    print(f"picture: {path}")
    return scores | _provenance()


def _score_folders():
    from dpig_tf2.evaluation.image_folders import score_folders

    keypoints = None
    if _GENERATED_KEYPOINTS.value:
        keypoints = tuple(
            _keypoints_of(*side)
            for side in (
                (_GENERATED_KEYPOINTS.value, _GENERATED.value),
                (_TARGET_KEYPOINTS.value, _TARGET.value),
            )
        )
    folders = _GENERATED.value, _TARGET.value
    scores = score_folders(*folders, _image_scores(), _MASKS.value, _UNMATCHED.value, keypoints)
    return scores | (_provenance() if _RUN_DIR.value else {})


def _keypoints_of(path, folder):
    """{image name: keypoints} of a file in any format, for the images of a folder."""
    from dpig_tf2.evaluation.image_folders import image_files
    from dpig_tf2.preparation import keypoint_formats

    names = [file.name for file in image_files(folder).values()]
    found = keypoint_formats.load(path, image_names=names)
    for problem in found.problems:
        print(f"note: {problem}")
    return found.keypoints


_RUNNERS = {
    "reconstruct": _score_records,
    "transfer": _score_records,
    "disentanglement": _score_disentanglement,
    "poses": _score_poses,
    "folders": _score_folders,
}


def _sampler():
    from dpig_tf2.sampling.sampler import PersonSampler

    return PersonSampler.load(_RUN_DIR.value, checkpoint=_CHECKPOINT.value)


def _provenance():
    """Which networks were scored: preset and the checkpoints with their steps and checksums."""
    from dpig_tf2.io.hashes import sha256
    from dpig_tf2.run_folder import RunFolder

    run = RunFolder.open(_RUN_DIR.value)
    files = {
        stage: run.checkpoint_file(stage, _CHECKPOINT.value)
        for stage in configuration.STAGES
        if run.latest_step(stage) is not None
    }
    return {
        "preset": run.config.preset,
        "checkpoints": {
            stage: {
                "step": int(array_files.load(path, ["step"])["step"]),
                "sha256": sha256(path),
            }
            for stage, path in files.items()
        },
    }


def _save_sheet(name, examples, columns):
    from dpig_tf2.io.images import save_png
    from dpig_tf2.run_folder import RunFolder
    from dpig_tf2.visual.sheets import labelled_sheet

    height = examples[0][0].shape[0]
    sheet = labelled_sheet(
        list(zip(*examples, strict=True)), row_labels=columns, scale=max(1, 128 // height)
    )
    path = RunFolder.open(_RUN_DIR.value).samples / f"evaluate_{name}.png"
    save_png(path, sheet)
    print(f"picture: {path}")


def _write(task, scores):
    from dpig_tf2.io.atomic import write_json
    from dpig_tf2.run_folder import RunFolder

    if _OUT.value:
        path = pathlib.Path(_OUT.value)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, scores)
        print(f"scores: {path}")
    elif _RUN_DIR.value:
        run = RunFolder.open(_RUN_DIR.value)
        run.write_metrics(task, scores)
        print(f"scores: {run.path / 'metrics.json'}")


def _brief(scores):
    """The scores without the per-image lists."""
    if isinstance(scores, dict):
        hidden = ("per_image", "names", "checkpoints", "skipped")
        return {name: _brief(value) for name, value in scores.items() if name not in hidden}
    return scores


def _report(text):
    print(f"[{_task()}] {text}", flush=True)


def run():
    run_program("dpig-evaluate", main)


if __name__ == "__main__":
    run()
