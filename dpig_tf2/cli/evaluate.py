"""Scores images or poses and writes them as JSON.

    python -m dpig_tf2.cli.evaluate --run_dir=runs/demo --data_dir=data/synthetic --split=test
    python -m dpig_tf2.cli.evaluate --task=disentanglement --run_dir=runs/demo \
        --data_dir=data/synthetic --split=test
    python -m dpig_tf2.cli.evaluate --task=poses --run_dir=runs/poses --keypoints=poses.csv \
        --hold_out=0.1
    python -m dpig_tf2.cli.evaluate --task=folders --generated=out --target=photos

Tasks: reconstruct and transfer score a record split; disentanglement needs synthetic records; poses
scores the pose stages on held-out poses; folders compares image files by name, without a model.
"""

import json
import pathlib

from absl import flags

from dpig_tf2.cli.flags import run_program

PROTOCOLS = ("dpig", "patn", "tf")
TASKS = ("reconstruct", "transfer", "disentanglement", "poses", "folders")

_TASK = flags.DEFINE_enum("task", "transfer", TASKS, "What is scored.")
_RUN_DIR = flags.DEFINE_string("run_dir", None, "Run folder; its metrics.json takes the scores.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with tf-records.")
_SPLIT = flags.DEFINE_string("split", "test", "Split in the record files' names.")
_LIMIT = flags.DEFINE_integer("limit", None, "Pairs scored at most.", lower_bound=1)
_PROTOCOL = flags.DEFINE_enum("protocol", "dpig", PROTOCOLS, "SSIM protocol.")
_KEYPOINTS = flags.DEFINE_string("keypoints", None, "Keypoint CSV of task poses, pixels.")
_HOLD_OUT = flags.DEFINE_float(
    "hold_out", None, "Share of --keypoints that training held out: the same as there.", 0.0, 0.9
)
_GENERATED = flags.DEFINE_string("generated", None, "Folder of generated images.")
_TARGET = flags.DEFINE_string("target", None, "Folder of target images.")
_MASKS = flags.DEFINE_string("masks", None, "Folder of masks, for mask-SSIM.")
_OUT = flags.DEFINE_string("out", None, "JSON file; default <run_dir>/metrics.json.")
_SEED = flags.DEFINE_integer("seed", 0, "Of sampled poses.", lower_bound=0)

_NEEDS = {
    "reconstruct": ("run_dir", "data_dir"),
    "transfer": ("run_dir", "data_dir"),
    "disentanglement": ("run_dir", "data_dir"),
    "poses": ("run_dir", "keypoints", "hold_out"),
    "folders": ("generated", "target"),
}


def main(_):
    task = _TASK.value
    for name in _NEEDS[task]:
        if not flags.FLAGS[name].value:
            raise ValueError(f"--{name} is needed by --task={task}")
    others = set().union(*_NEEDS.values()) - set(_NEEDS[task]) - {"run_dir"}
    for name in sorted(others):
        if flags.FLAGS[name].value:
            raise ValueError(f"--{name} does not apply to --task={task}")
    scores = _RUNNERS[task]()
    print(json.dumps(_brief(scores), indent=2))
    _write(task, scores)
    return 0


def _score_records():
    from dpig_tf2.evaluation.records import score_records
    from dpig_tf2.pipeline.input_pipeline import RecordSet

    sampler = _sampler()
    records = RecordSet.open(_DATA_DIR.value, _SPLIT.value)
    scores, examples = score_records(
        sampler, records, _TASK.value, _PROTOCOL.value, _LIMIT.value, _report
    )
    columns = ["source", "generated", "target"]
    _save_sheet(_TASK.value, examples, columns)
    return scores | _provenance()


def _score_disentanglement():
    from dpig_tf2.evaluation import disentanglement
    from dpig_tf2.ops.sheets import save_png
    from dpig_tf2.preparation.synthetic_records import factors_path
    from dpig_tf2.run_folder import RunFolder

    factors = disentanglement.load_factors(factors_path(_DATA_DIR.value, _SPLIT.value))
    sampler = _sampler()
    model = sampler.config.model
    pairs = disentanglement.choose_pairs(factors, _LIMIT.value or 200)
    _report(f"rendering {len(pairs)} pairs")
    persons = disentanglement.SyntheticPersons(pairs, factors, model.height, model.width)
    scores, sheet = disentanglement.measure(sampler, persons, _report)
    path = RunFolder.open(_RUN_DIR.value).samples / "disentanglement.png"
    save_png(path, sheet)
    print(f"picture: {path}")
    return scores | _provenance()


def _score_poses():
    from dpig_tf2.evaluation.poses import score_poses
    from dpig_tf2.pipeline.arrays import hold_out
    from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv

    _, keypoints = read_keypoint_csv(_KEYPOINTS.value)
    training, held_out = (
        part[(part[..., 2] > 0).any(axis=1)] for part in hold_out(keypoints, _HOLD_OUT.value)
    )
    if len(held_out) < 4:
        raise ValueError(f"--hold_out={_HOLD_OUT.value}: {len(held_out)} poses are too few")
    return score_poses(_sampler(), training, held_out, _SEED.value) | _provenance()


def _score_folders():
    from dpig_tf2.evaluation.image_folders import score_folders

    return score_folders(_GENERATED.value, _TARGET.value, _PROTOCOL.value, _MASKS.value)


_RUNNERS = {
    "reconstruct": _score_records,
    "transfer": _score_records,
    "disentanglement": _score_disentanglement,
    "poses": _score_poses,
    "folders": _score_folders,
}


def _sampler():
    from dpig_tf2.sampling.sampler import PersonSampler

    return PersonSampler.load(_RUN_DIR.value)


def _provenance():
    """Which networks were scored: preset and the newest checkpoints with their checksums."""
    from dpig_tf2.config import STAGES
    from dpig_tf2.run_folder import RunFolder, file_checksum

    run = RunFolder.open(_RUN_DIR.value)
    newest = {stage: run.checkpoints(stage)[-1:] for stage in STAGES}
    return {
        "preset": run.config.preset,
        "checkpoints": {
            stage: {"step": step, "sha256": file_checksum(path)}
            for stage, found in newest.items()
            for step, path in found
        },
    }


def _save_sheet(name, examples, columns):
    from dpig_tf2.ops.sheets import labelled_sheet, save_png
    from dpig_tf2.run_folder import RunFolder

    height = examples[0][0].shape[0]
    sheet = labelled_sheet(
        list(zip(*examples, strict=True)), row_labels=columns, scale=max(1, 128 // height)
    )
    path = RunFolder.open(_RUN_DIR.value).samples / f"evaluate_{name}.png"
    save_png(path, sheet)
    print(f"picture: {path}")


def _write(task, scores):
    from dpig_tf2.run_folder import RunFolder, write_text

    if _OUT.value:
        path = pathlib.Path(_OUT.value)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(scores, indent=2, allow_nan=False) + "\n")
        print(f"scores: {path}")
    elif _RUN_DIR.value:
        run = RunFolder.open(_RUN_DIR.value)
        run.write_metrics(task, scores)
        print(f"scores: {run.path / 'metrics.json'}")


def _brief(scores):
    """The scores without the per-image lists."""
    if isinstance(scores, dict):
        hidden = ("per_image", "names", "checkpoints")
        return {name: _brief(value) for name, value in scores.items() if name not in hidden}
    return scores


def _report(text):
    print(f"[{_TASK.value}] {text}", flush=True)


def run():
    run_program("dpig-evaluate", main)


if __name__ == "__main__":
    run()
