"""Photos without keypoints, as a user gives them: synthetic persons on larger pictures."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dpig_tf2 import synthetic
from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv

pytestmark = pytest.mark.slow  # starts programs

_TOP, _LEFT = 60, 200  # of the person's picture in the photo
_HEIGHT, _WIDTH = 256, 128


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two persons with two photos each in folders of their own, and a picture of nobody."""
    folder = tmp_path_factory.mktemp("photos")
    truth = {}
    for number, image in enumerate(synthetic.make_images(1, 2, 2)):
        picture = synthetic.render(image.foreground, image.background, image.pose, _HEIGHT, _WIDTH)
        photo = np.pad(picture, ((_TOP, 80), (_LEFT, 30), (0, 0)), "edge")
        name = f"person{image.identity}/{number}.png"
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(photo).save(folder / name)
        keypoints = synthetic.pose_keypoints(image.pose, _HEIGHT, _WIDTH)
        truth[name] = keypoints + (keypoints[:, 2:] > 0) * np.float32([_TOP, _LEFT, 0])
    scene = synthetic.render_background(synthetic.sample_background(np.random.default_rng(0)))
    Image.fromarray(scene).save(folder / "nobody.png")
    return folder, truth


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, tiny_config):
    """Networks as they are before training."""
    from dpig_tf2.models import factory
    from dpig_tf2.sampling.sampler import PersonSampler

    folder = tmp_path_factory.mktemp("networks") / "run"
    names = ["appearance_encoder", "generator"]
    PersonSampler(tiny_config, factory.build_networks(names, tiny_config.model)).save(folder)
    return folder


@pytest.fixture
def dpig(pose_model):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "dpig_tf2.cli.main", *map(str, arguments)],
            env={**os.environ, "DPIG_POSE_MODEL": str(pose_model)},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def test_keypoints_are_found_and_can_be_given_back(dpig, photos, tmp_path):
    folder, truth = photos
    out = tmp_path / "keypoints.csv"
    result = dpig("detect_poses", f"--images={folder}", f"--out={out}", f"--sheets={tmp_path}")
    assert result.returncode == 1, "there is a picture of nobody"
    assert f"skipped: {folder / 'nobody.png'}: no person was found" in result.stdout
    assert "a person was found on 4 of 5 photos" in result.stdout
    assert (tmp_path / "poses_001.png").exists()
    names, keypoints = read_keypoint_csv(out)
    assert names == sorted(truth)
    for name, found in zip(names, keypoints, strict=True):
        seen, known = (pose[pose[:, 2] > 0, :2] for pose in (found, truth[name]))
        assert len(seen) >= 8
        # From the nearest: left and right of drawn persons are hard to tell.
        apart = np.linalg.norm(seen[:, None] - known, axis=-1).min(axis=1)
        assert np.median(apart) < 0.1 * _HEIGHT
    flags = (f"--images={folder}", f"--keypoints={out}", "--scenes=2")
    scored = dpig("evaluate_detector", *flags)
    assert scored.returncode == 0, scored.stderr
    assert "100.0 %" in scored.stdout and "persons missed" in scored.stdout


def test_a_person_is_cut_out_redrawn_and_put_back(dpig, photos, run_dir, tmp_path):
    folder, truth = photos
    out = tmp_path / "out"
    flags = (f"--run_dir={run_dir}", f"--images={folder}", f"--out_dir={out}")
    flags += ("--crop=person", "--paste_back", "--body_mask=detected")
    result = dpig("reconstruct", *flags)
    assert result.returncode == 1, "there is a picture of nobody"
    assert "left out" in result.stdout and "nobody.png: no person was found" in result.stdout
    manifest = json.loads((out / "samples.json").read_text())
    assert len(manifest["settings"]["pose_detector"]) == 16
    facts = manifest["files"]["person1_0.png"]["cut_out"]
    before = np.asarray(Image.open(folder / "person1/0.png")).astype(int)
    after = np.asarray(Image.open(out / "in_photo/person1_0.png")).astype(int)
    changed = np.argwhere((before != after).any(axis=-1))
    inside = (facts["top"], facts["left"])
    size = (facts["rows"], facts["columns"])
    assert (changed >= inside).all() and (changed < np.add(inside, size)).all()
    assert len(changed) > 0.5 * size[0] * size[1]
    seen = truth["person1/0.png"][truth["person1/0.png"][:, 2] > 0, :2]
    assert (seen > inside).all() and (seen < np.add(inside, size)).all()
    found = (out / "keypoints.csv").read_text()
    # A file that somebody has corrected is not written over.
    (out / "keypoints.csv").write_text(found.replace("person2", "somebody"))
    again = dpig("reconstruct", *flags)
    assert "holds other keypoints" in again.stdout and "9 of them from before" in again.stdout
    assert "somebody" in (out / "keypoints.csv").read_text()


def test_a_photo_takes_the_pose_of_another(dpig, photos, run_dir, tmp_path):
    folder, truth = photos
    flags = [f"--run_dir={run_dir}", f"--out_dir={tmp_path}/out", "--crop=person"]
    flags += [f"--image={folder}/person1/0.png"]
    result = dpig("transfer", *flags, f"--target_image={folder}/person2/2.png")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out/0_to_2.png").exists()
    for name, wanted in (("keypoints", "0.png"), ("target_keypoints", "2.png")):
        assert read_keypoint_csv(tmp_path / "out" / f"{name}.csv")[0] == [wanted]
    nobody = dpig("transfer", *flags, f"--target_image={folder}/nobody.png", "--overwrite")
    assert nobody.returncode == 1
    assert "nobody.png: no person was found" in nobody.stderr


def test_a_failed_run_leaves_nothing_in_the_way_of_the_corrected_one(
    dpig, photos, run_dir, tmp_path
):
    folder, _ = photos
    flags = [f"--run_dir={run_dir}", f"--out_dir={tmp_path}/out", "--crop=person"]
    flags += [f"--target_image={folder}/person2/2.png"]
    absent = dpig("transfer", *flags, f"--image={folder}/absent.png")
    assert absent.returncode == 1
    assert f"error: there is no photo {folder}/absent.png" in absent.stderr
    nobody = dpig("transfer", *flags, f"--image={folder}/nobody.png")
    assert nobody.returncode == 1 and "nobody.png: no person was found" in nobody.stderr
    assert not list((tmp_path / "out").glob("*"))
    corrected = dpig("transfer", *flags, f"--image={folder}/person1/0.png")
    assert corrected.returncode == 0, corrected.stderr


def test_all_persons_of_a_photo(dpig, run_dir, tmp_path):
    photo = synthetic.render_background(
        synthetic.sample_background(np.random.default_rng(5)), _HEIGHT + 40, 600
    )
    for number, image in enumerate(synthetic.make_images(1, 2, 1)):
        picture = synthetic.render(image.foreground, image.background, image.pose, _HEIGHT, _WIDTH)
        body = synthetic.foreground_mask(image.foreground, image.pose, _HEIGHT, _WIDTH)
        photo[20 : 20 + _HEIGHT, 90 + 290 * number :][:, :_WIDTH][body] = picture[body]
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo).save(tmp_path / "photos/two.png")
    csv = tmp_path / "all.csv"
    result = dpig("detect_poses", f"--images={tmp_path}/photos", f"--out={csv}", "--persons=all")
    assert result.returncode == 0, result.stderr
    assert "2 persons found on 1 of 1 photo;" in result.stdout
    assert csv.read_text().startswith("name:keypoints_y:keypoints_x:person\ntwo.png:")
    flags = [f"--run_dir={run_dir}", f"--out_dir={tmp_path}/out", "--crop=person"]
    flags += [f"--image={tmp_path}/photos/two.png", f"--keypoints={csv}", "--persons=all"]
    result = dpig("reconstruct", *flags)
    assert result.returncode == 0, result.stderr
    files = json.loads((tmp_path / "out/samples.json").read_text())["files"]
    left, right = sorted(files[f"{name}.png"]["cut_out"]["left"] for name in ("two", "two_person2"))
    assert right - left > 200


def test_records_of_photos_without_keypoints(dpig, photos, tmp_path):
    folder, truth = photos
    flags = (f"--raw_dir={folder}", f"--out_dir={tmp_path}", "--identity=folder")
    result = dpig("make_records", *flags, "--resize=letterbox", "--variant=market1501")
    assert result.returncode == 1, "there is a picture of nobody"
    assert "1 image left out" in result.stdout
    assert "nobody.png: no person was found" in result.stdout
    assert f"4 examples in {tmp_path}" in result.stdout
    assert len(read_keypoint_csv(tmp_path / "keypoints_train.csv")[0]) == 4


def test_pose_stages_train_on_photos(dpig, photos, tmp_path):
    folder, _ = photos
    flags = (f"--run_dir={tmp_path}/run", f"--keypoints={folder}", "--preset=synthetic")
    flags += ("--stage=pose", "--steps=1", "--batch_size=2", "--set=model.pose_hidden=16")
    result = dpig("train", *flags)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "nobody.png: no person was found" in result.stdout
    names, keypoints = read_keypoint_csv(tmp_path / "run/keypoints.csv")
    assert len(names) == 4
    assert (keypoints[..., 0].max(), keypoints[..., 1].max()) < (64, 32), "the preset's pixels"
    again = dpig("train", *flags[:2], "--stage=pose")
    assert "poses of 4 of 5 photos, found before: " in again.stdout
    assert "keypoints.csv; remove it to look at the others, too" in again.stdout
    (tmp_path / "others").mkdir()
    Image.open(folder / "person1/0.png").save(tmp_path / "others/me.png")
    refused = dpig("train", flags[0], f"--keypoints={tmp_path}/others", "--stage=pose", "--steps=2")
    assert refused.returncode == 1 and not refused.stdout.count("found before")
    assert "run/keypoints.csv holds poses of other photos, 'person" in refused.stderr


def test_pose_error_of_pictures_without_keypoints(dpig, photos, tmp_path):
    folder, truth = photos
    for side in ("generated", "target"):
        (tmp_path / side).mkdir()
    for number in (0, 1):
        photo = Image.open(folder / f"person1/{number}.png")
        photo.save(tmp_path / "target" / f"{number}.png")
        nobody = Image.new("RGB", photo.size)
        (photo if number else nobody).save(tmp_path / "generated" / f"{number}.png")
    flags = (f"--generated={tmp_path}/generated", f"--target={tmp_path}/target")
    result = dpig("evaluate", *flags, "--detect_poses", f"--out={tmp_path}/scores.json")
    assert result.returncode == 0, result.stderr
    scores = json.loads((tmp_path / "scores.json").read_text())["metrics"]["pose_error"]
    assert (scores["pictures"], scores["missed"], scores["pixel_error"]) == (2, 1, 0.0)
    assert len(read_keypoint_csv(tmp_path / "scores_target_keypoints.csv")[0]) == 2


def test_what_was_found_in_each_kind_of_pictures_is_kept(dpig, run_dir, synthetic_data):
    flags = [f"--run_dir={run_dir}", f"--data_dir={synthetic_data}", "--limit=2", "--detect_poses"]
    for pictures in ("reconstruct", "transfer"):
        result = dpig("evaluate", *flags, f"--pictures={pictures}")
        assert result.returncode == 0, result.stderr
        file = run_dir / f"samples/evaluate_{pictures}_generated_keypoints.csv"
        assert f"keypoints: {file}" in result.stdout


def test_without_a_model_both_ways_to_one_are_told(photos, run_dir, tmp_path):
    folder, _ = photos
    flags = [f"--run_dir={run_dir}", f"--images={folder}", f"--pose_model={tmp_path}/none"]
    result = subprocess.run(
        [sys.executable, "-m", "dpig_tf2.cli.main", "reconstruct", *flags],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if "error" in line and "dpig" in line]
    assert "dpig download pose_model" in line and "--pose_model" in line


def test_a_personal_run_keeps_the_keypoints_found_and_says_who_was_left_out(
    dpig, photos, synthetic_data, tmp_path
):
    from dpig_tf2 import config
    from tests.programs import save_tiny_sampler

    sizes = {
        **{"model.height": 64, "model.width": 32, "model.mask_radius": 2, "model.hidden": 8},
        **{"model.region_embedding": 8, "model.background_embedding": 32},
        **{"model.placed_channels": 4, "model.pose_mapping_hidden": 32},
    }
    save_tiny_sampler(config.preset("modern").override(**sizes), tmp_path / "source")
    folder, truth = photos
    out = tmp_path / "me"
    flags = [f"--run_dir={tmp_path}/source", f"--images={folder}", f"--out_dir={out}", "--steps=2"]
    flags += ["--batch_size=4", "--crop=person"]
    result = dpig("personalize", *flags, f"--beside={synthetic_data}")
    assert result.returncode == 1, result.stderr
    assert f"4 photos of 4 persons beside 72 pairs of {synthetic_data}" in result.stdout
    assert f"left out: {folder / 'nobody.png'}: no person was found" in result.stdout
    assert "a person was found on 4 of 5 photos" in result.stdout
    assert f"personalized: {out}" in result.stdout
    assert read_keypoint_csv(out / "keypoints.csv")[0] == sorted(truth)
    other = dpig("personalize", *flags, f"--beside={synthetic_data}", "--one_person")
    (line,) = [line for line in other.stderr.splitlines() if "error" in line and "dpig" in line]
    assert f"{out} holds a run that was personalized with other identities" in line
    nothing = dpig("personalize", *flags, f"--beside={folder}")
    assert f"error: no records *_train_*.tfrecord in {folder}; " in nothing.stderr
