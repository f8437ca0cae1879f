"""The verbs that score, on untrained networks: what they read, write and refuse."""

import importlib
import json
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from absl import flags as absl_flags
from absl.testing import flagsaver
from PIL import Image

import dpig_tf2
from dpig_tf2 import config
from dpig_tf2.cli import evaluate, person_flags, scores
from dpig_tf2.config import STAGES
from dpig_tf2.detection.keypoint_csv import keypoint_csv
from dpig_tf2.detection.photo_poses import DetectedPoses
from dpig_tf2.errors import DpigError
from dpig_tf2.evaluation.image_folders import score_folders
from dpig_tf2.evaluation.image_scores import ImageScores
from dpig_tf2.io.atomic import write_json, write_text
from dpig_tf2.io.hashes import sha256
from dpig_tf2.models import weights
from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.training.trainers import build_trainer

pytestmark = pytest.mark.slow  # starts programs


def run_verb(verb, *flags):
    return subprocess.run(
        [sys.executable, "-m", f"dpig_tf2.cli.{verb}", *map(str, flags)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def parse():
    """Parses the command line of a verb's module, whose flags are as before when a test is over."""
    saved = []

    def parse(module, *arguments):
        saved.append((flagsaver.save_flag_values(module.FLAGS), module.FLAGS))
        module.FLAGS(["dpig", *arguments])

    yield parse
    for values, flags in reversed(saved):
        flagsaver.restore_flag_values(values, flags)


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_config):
    """A run folder whose stages hold fresh weights."""
    run = RunFolder.create(tmp_path_factory.mktemp("run") / "run", tiny_config)
    for stage in STAGES:
        trainer = build_trainer(stage, tiny_config)
        run.save_checkpoint(stage, 1, weights.collect(trainer.state_variables()))
    return run


def test_records_are_scored_with_protocol_and_provenance(run, synthetic_data, tmp_path):
    saved = tmp_path / "pictures"
    flags = [f"--run_dir={run.path}", f"--data_dir={synthetic_data}", "--limit=5"]
    for choice in ("--pictures=reconstruct", f"--save_pictures={saved}"):
        result = run_verb("evaluate", *flags, choice, "--protocol=tf")
        assert result.returncode == 0, result.stderr[-2000:]
    metrics = json.loads((run.path / "metrics.json").read_text())
    assert set(metrics) == {"reconstruct", "transfer"}, "one entry does not replace another"
    scores = metrics["transfer"]
    assert scores["protocol"] == "tf" and scores["count"] == 5 and scores["preset"] == "synthetic"
    assert {"ssim", "psnr", "l1", "l2", "mask_ssim"} < set(scores["metrics"])
    assert scores["metrics"]["fid"]["value"] is None, "no weights were given"
    assert len(scores["names"]) == 5
    assert len(scores["checkpoints"]["reconstruction"]["sha256"]) == 64
    assert np.asarray(Image.open(run.samples / "evaluate_transfer.png")).std() > 10
    again = score_folders(saved / "generated", saved / "target", ImageScores("tf"), saved / "masks")
    for name in ("ssim", "l1", "mask_ssim"):
        expected = scores["metrics"][name]["mean"]
        assert again["metrics"][name]["mean"] == pytest.approx(expected), name
    _, keypoints = read_keypoint_csv(saved / "target_keypoints.csv")
    assert keypoints.shape == (5, 18, 3)


def test_disentanglement_is_scored_against_true_renders(run, synthetic_data, tmp_path):
    out = tmp_path / "scores.json"
    result = run_verb(
        "evaluate_disentanglement",
        f"--run_dir={run.path}",
        f"--data_dir={synthetic_data}",
        "--limit=4",
        f"--out={out}",
    )
    assert result.returncode == 0, result.stderr[-2000:]
    scores = json.loads(out.read_text())
    assert scores["count"] == 4
    assert set(scores["swap"]) == {"foreground", "background", "pose"}
    assert set(scores["moved"]["table"]["pose"]) == {"foreground", "background", "pose"}
    assert scores["probes"]["scored_persons"] == 300
    # Untrained networks draw nothing like the truth.
    assert scores["reconstruction"]["l1"] > 0.1
    assert (tmp_path / "scores_disentanglement.png").exists(), "beside the scores"
    assert not (run.samples / "disentanglement.png").exists()


def test_poses_are_scored_on_the_part_held_out(run, tmp_path):
    rng = np.random.default_rng(0)
    rows = ["name:keypoints_y:keypoints_x"]
    for i in range(60):
        y, x = rng.integers(0, 48, 18).tolist(), rng.integers(0, 24, 18).tolist()
        rows.append(f"{i:04d}.jpg: {y}: {x}")
    (tmp_path / "poses.csv").write_text("\n".join(rows) + "\n")
    flags = [f"--run_dir={run.path}", f"--keypoints={tmp_path / 'poses.csv'}"]
    result = run_verb(
        "evaluate_poses", *flags, "--hold_out=0.2", f"--out={tmp_path / 'scores.json'}"
    )
    assert result.returncode == 0, result.stderr[-2000:]
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["held_out"] == 12
    assert scores["sampling"]["samples"] == 5000
    assert (tmp_path / "scores_poses.png").exists()
    (tmp_path / "poses.csv").write_text(f"{rows[0]}\n0.jpg: {[400] * 18}: {[5] * 18}\n")
    result = run_verb("evaluate_poses", *flags, "--hold_out=0")
    assert result.returncode == 1
    assert "poses.csv: 0.jpg: nose at row 400, column 5 is far outside" in result.stderr


def test_scores_are_kept_if_their_picture_cannot_be(run, synthetic_data, tmp_path):
    folder = shutil.copytree(run.path, tmp_path / "run", ignore=lambda *_: ["samples"])
    (folder / "samples").touch()
    flags = [f"--run_dir={folder}", f"--data_dir={synthetic_data}", "--limit=2", "--protocol=tf"]
    result = run_verb("evaluate", *flags)
    assert result.returncode == 1 and "samples" in result.stderr
    assert json.loads((folder / "metrics.json").read_text())["transfer"]["count"] == 2


@pytest.mark.parametrize("verb", ["evaluate", "evaluate_disentanglement", "evaluate_poses"])
def test_scores_that_could_not_be_written_are_not_computed(
    verb, parse, synthetic_data, tmp_path, monkeypatch
):
    module = importlib.import_module(f"dpig_tf2.cli.{verb}")
    RunFolder.create(tmp_path / "run", config.preset("synthetic"))
    rows = [f"{i}.jpg: {[40] * 18}: {[20] * 18}" for i in range(60)]
    poses = tmp_path / "poses.csv"
    poses.write_text("\n".join(["name:keypoints_y:keypoints_x", *rows, ""]))
    data = f"--data_dir={synthetic_data}"
    data = (f"--keypoints={poses}", "--hold_out=0.2") if verb == "evaluate_poses" else (data,)
    monkeypatch.setattr(scores.ScoreVerb, "sampler", lambda _: pytest.fail("networks were loaded"))
    parse(module, f"--run_dir={tmp_path / 'run'}", *data, f"--out={poses}/scores.json")
    with pytest.raises(OSError, match="poses.csv"):
        module.main()


def test_scores_tell_what_they_were_asked_for_and_what_they_are_of(tmp_path, capsys):
    """Two evaluations that differ in it have the same names and may have the same figures."""
    verb_flags = absl_flags.FlagValues()
    verb = scores.ScoreVerb(verb_flags, required=False)
    person_flags.define_limit(verb_flags, "pairs")
    verb_flags(["verb", f"--out={tmp_path / 'scores.json'}", "--limit=7"])
    (tmp_path / "manifest.json").write_text("{}")
    files = [tmp_path / "manifest.json", tmp_path / "absent.json"]
    assert verb.finish("transfer", {"count": 7}, files) == 0
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written == {
        "count": 7,
        "version": dpig_tf2.__version__,
        "flags": {"out": str(tmp_path / "scores.json"), "limit": 7},
        "inputs": {"manifest.json": sha256(tmp_path / "manifest.json")},
    }
    shown = capsys.readouterr().out
    assert '"count": 7' in shown and "limit" not in shown, "whoever gave it knows it"


def test_folders_are_compared_without_a_model_and_what_is_bad_is_named(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("generated", "target"):
        (tmp_path / folder).mkdir()
        for name in ("a.png", "b.png", "c.png"):
            picture = Image.fromarray(rng.integers(0, 256, (32, 16, 3), dtype=np.uint8))
            picture.save(tmp_path / folder / name)
    (tmp_path / "target" / "b.png").write_bytes(b"GIF89a")
    poses = tmp_path / "poses.csv"
    rows = [f"a.png: {[5] * 18}: {[6] * 18}", f"c.png: {[5] * 17}: {[6] * 18}"]
    poses.write_text("\n".join(["name:keypoints_y:keypoints_x", *rows, ""]))
    out = tmp_path / "scores.json"
    result = run_verb(
        "evaluate",
        "--generated",
        tmp_path / "generated",
        "--target",
        tmp_path / "target",
        f"--generated_keypoints={poses}",
        f"--target_keypoints={poses}",
        f"--out={out}",
    )
    assert result.returncode == 1, "one pair failed"
    scores = json.loads(out.read_text())
    bad_image, *unusable = scores["skipped"]
    assert "b.png is not a JPEG or PNG image" in bad_image
    assert unusable == [
        f"{tmp_path / f / 'c.png'}: unusable keypoints" for f in ("generated", "target")
    ]
    assert all(f"skipped: {line}" in result.stdout for line in scores["skipped"])
    assert scores["count"] == 2
    assert scores["metrics"]["pose_error"]["pixel_error"] == 0.0


def test_a_keypoint_file_may_know_more_images(tmp_path):
    """One that tells the images' sizes, which those of the folder are compared to."""
    for folder in ("generated", "target"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (16, 32)).save(tmp_path / folder / "a.png")
    images = [
        {"id": i, "file_name": name, "height": 32, "width": 16}
        for i, name in enumerate(("a.png", "elsewhere.png"))
    ]
    people = [{"image_id": i, "keypoints": [5, 6, 2] * 17, "category_id": 1} for i in range(2)]
    write_json(tmp_path / "coco.json", {"images": images, "annotations": people})
    result = run_verb(
        "evaluate",
        f"--generated={tmp_path / 'generated'}",
        f"--target={tmp_path / 'target'}",
        f"--generated_keypoints={tmp_path / 'coco.json'}",
        f"--target_keypoints={tmp_path / 'coco.json'}",
        f"--out={tmp_path / 'scores.json'}",
    )
    assert result.returncode == 0, result.stderr
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["metrics"]["pose_error"]["pixel_error"] == 0.0


def test_nobody_found_is_scored_alike_however_it_is_said(tmp_path):
    """One picture of two, in which nobody was found; pictures are the last of five panels."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        target, *others, result = rng.integers(0, 256, (6, 32, 16, 3), dtype=np.uint8)
        for path, picture in (
            (tmp_path / "target" / f"{name}.jpg", target),
            (tmp_path / "vis" / f"s.jpg___{name}.jpg_vis.png", np.hstack([*others, result])),
        ):
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(path)
    (tmp_path / "pairs.csv").write_text("s.jpg;a.jpg\ns.jpg;b.jpg\n")
    generated = [f"s.jpg___{name}.jpg_vis" for name in ("a", "b")]
    pose = np.stack([np.arange(10, 28), np.arange(-1, 17) % 16, np.ones(18)], 1)
    target_file, csv_file = tmp_path / "targets.csv", tmp_path / "found.csv"
    write_text(target_file, keypoint_csv({"a.jpg": pose, "b.jpg": pose}))
    write_text(
        csv_file,
        keypoint_csv({f"{generated[0]}.png": pose, f"{generated[1]}.png": np.zeros((18, 3))}),
    )
    people = [{"pose_keypoints_2d": pose[:, [1, 0, 2]].ravel().tolist()}]
    for folder in ("nobody", "absent"):
        write_json(tmp_path / folder / f"{generated[0]}_keypoints.json", {"people": people})
    write_json(tmp_path / "nobody" / f"{generated[1]}_keypoints.json", {"people": []})
    scores = []
    for found in (csv_file, tmp_path / "nobody", tmp_path / "absent"):
        result = run_verb(
            "evaluate",
            f"--generated={tmp_path}/vis",
            f"--target={tmp_path}/target",
            f"--pairs_csv={tmp_path}/pairs.csv",
            "--generated_panel=5/5",
            f"--generated_keypoints={found}",
            f"--target_keypoints={target_file}",
            f"--out={tmp_path}/scores.json",
        )
        assert result.returncode == 0, result.stderr
        scores.append(json.loads((tmp_path / "scores.json").read_text()))
    assert scores[0]["metrics"]["pose_error"] == {
        "pictures": 2,
        "missed": 1,
        "found": 0.5,
        "pixel_error": 0.0,
        "compared_keypoints": 18,
        "visibility_accuracy": 0.5,
    }
    asked = [score.pop("flags")["generated_keypoints"] for score in scores]
    assert asked == [str(csv_file), str(tmp_path / "nobody"), str(tmp_path / "absent")]
    assert scores[0] == scores[1] == scores[2]


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Two folders with images a and b, one with c besides; the flags; names of searched images."""
    rng = np.random.default_rng(0)
    for folder, names in (("generated", "ab"), ("target", "abc")):
        (tmp_path / folder).mkdir()
        for name in names:
            picture = Image.fromarray(rng.integers(0, 256, (32, 16, 3), dtype=np.uint8))
            picture.save(tmp_path / folder / f"{name}.png")
    searched = []

    class Detector:
        fingerprint = "finds the same everywhere, and stops at the fourth image"

        def detect(self, photos):
            searched.append(photos)
            if len(searched) == 4:
                raise KeyboardInterrupt
            return [[types.SimpleNamespace(keypoints=np.tile([5.0, 6.0, 1.0], (18, 1)))]]

    monkeypatch.setattr(
        evaluate.person_flags, "detected_poses", lambda *_: DetectedPoses(Detector())
    )
    flags = [f"--{name}={tmp_path / name}" for name in ("generated", "target")]
    return searched, [*flags, "--detect_poses", f"--out={tmp_path / 'out.json'}"]


@pytest.mark.parametrize(
    ("flag", "file"),
    [
        ("--pairs_csv=nowhere", "nowhere"),
        ("--masks=nowhere", "nowhere"),
        ("--lpips_weights=nowhere", "nowhere"),
        ("--target_keypoints=nowhere", "nowhere"),
        ("--noallow_unmatched", "c.png"),
        (f"--out={__file__}/scores.json", "score_verbs_test.py"),
    ],
)
def test_nobody_is_searched_for_before_files_are_known_to_fit(search, parse, flag, file):
    searched, arguments = search
    parse(evaluate, *arguments, "--allow_unmatched", flag)
    with pytest.raises((DpigError, OSError), match=file):
        evaluate.main()
    assert searched == []


def test_what_was_found_is_kept_if_the_search_is_stopped(search, parse, tmp_path, capsys):
    searched, arguments = search
    parse(evaluate, *arguments, "--allow_unmatched")
    with pytest.raises(KeyboardInterrupt):
        evaluate.main()
    found = [
        read_keypoint_csv(tmp_path / f"out_{side}_keypoints.csv")[0]
        for side in ("generated", "target")
    ]
    assert found == [["a.png", "b.png"], ["a.png"]]
    assert "detecting generated_keypoints: 2/2" in capsys.readouterr().err


def test_what_no_pair_shows_is_not_searched(search, parse, capsys):
    searched, arguments = search
    searched += [None] * 4
    parse(evaluate, *arguments, "--allow_unmatched")
    assert evaluate.main() == 0
    assert len(searched) == 8
    assert "scoring: 2/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "flags", "message"),
    [
        ("evaluate", [], "--run_dir must be given to score records"),
        ("evaluate", ["--run_dir=r"], "--data_dir must be given to score records"),
        ("evaluate", ["--mask_radius=1001"], "1001 is not an integer in the range [1, 1000]"),
        ("evaluate", ["--generated=a"], "--target must be given"),
        (
            "evaluate",
            ["--generated=a", "--target=b", "--data_dir=c"],
            "--data_dir does not apply to folders",
        ),
        (
            "evaluate",
            ["--generated=a", "--target=b", "--target_keypoints=c"],
            "--target_keypoints needs --generated_keypoints",
        ),
        (
            "evaluate",
            ["--generated=a", "--target=b", "--inception_weights=w", "--download_weights"],
            "--inception_weights and --download_weights exclude each other",
        ),
        ("evaluate", ["--generated=a", "--target=b", "--pose_model=p"], "needs --detect_poses"),
        ("evaluate", ["--generated=a", "--target=b", "--checkpoint=best"], "needs --run_dir"),
        (
            "evaluate",
            ["--generated=a", "--target=b", "--detect_poses"]
            + ["--generated_keypoints=c", "--target_keypoints=d"],
            "nothing is left to find",
        ),
        (
            "evaluate",
            ["--generated=a", "--target=b", "--generated_panel=6/5"],
            "--generated_panel=6/5: expected NUMBER/COUNT",
        ),
        ("evaluate", ["--run_dir=nowhere", "--data_dir=c"], "nowhere is not a run folder"),
        ("evaluate_disentanglement", ["--run_dir=r"], "--data_dir must be given"),
        (
            "evaluate_poses",
            ["--run_dir=nowhere", "--keypoints=k", "--hold_out=0.1"],
            "nowhere is not a run folder",
        ),
        ("evaluate", ["--run_dir=r", "--data_dir=c", "--out=."], "--out=.: is a folder"),
        (
            "evaluate_detector",
            ["--images=i", "--keypoints=k", "--out=."],
            "--out=.: is a folder, expected a file",
        ),
        ("detect_poses", ["--images=i", "--out=."], "--out=.: is a folder, expected a file"),
        (
            "detect_poses",
            ["--images=i", "--out=o", f"--sheets={__file__}"],
            "score_verbs_test.py: is a file, expected a folder",
        ),
        ("sample", ["--run_dir=r", f"--out_dir={__file__}"], "is a file, expected a folder"),
        ("benchmark", ["--what=machine", "--out=."], "--out=.: is a folder, expected a file"),
        ("evaluate_poses", ["--run_dir=r"], "--keypoints and --hold_out must be given"),
    ],
)
def test_bad_flags_end_in_one_line(verb, flags, message):
    result = run_verb(verb, *flags)
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count("\n") == 1
