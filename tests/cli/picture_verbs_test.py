"""The verbs that write pictures; several command lines share a process where TensorFlow runs."""

import json
import re
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from absl.testing import flagsaver
from PIL import Image

from dpig_tf2 import PersonSampler
from dpig_tf2.cli import interpolate, pictures
from tests.programs import run_in_one_process, save_tiny_sampler

pytestmark = pytest.mark.slow  # starts programs


def _manifest(folder):
    return json.loads((folder / "samples.json").read_text())


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, tiny_config):
    """Networks as they are before training; a discriminator too."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    save_tiny_sampler(tiny_config, folder)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of another size: three, one without visible keypoints, one cut off."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    lines = ["name:keypoints_y:keypoints_x"]
    for name in ("a_0.png", "a_1.png", "b_0.png", "unseen.png"):
        Image.fromarray(rng.integers(0, 256, (100, 80, 3), np.uint8)).save(folder / name)
        rows, columns = rng.integers(10, 70, (2, 18)).tolist()
        if name == "unseen.png":
            rows = columns = [-1] * 18
        lines.append(f"{name}: {rows}: {columns}")
    (folder / "broken.png").write_bytes((folder / "a_0.png").read_bytes()[:10])
    lines.append(f"broken.png: {list(range(18))}: {list(range(18))}")
    (folder / "keypoints.csv").write_text("\n".join(lines) + "\n")
    openpose = [value for k in range(18) for value in (10 + k, 30 + 2 * k, 0.9)]  # column, row
    person = {"people": [{"pose_keypoints_2d": openpose}]}
    (folder / "me_keypoints.json").write_text(json.dumps(person))
    return folder


@pytest.fixture(scope="module")
def outputs(run_dir, photos, synthetic_data, tmp_path_factory):
    """Every verb once, {name: (folder, status, stdout, stderr)}; some are run a second time."""
    folder = tmp_path_factory.mktemp("out")
    records = [f"--data_dir={synthetic_data}"]
    files = [f"--images={photos}", f"--keypoints={photos / 'keypoints.csv'}"]
    one = [f"--image={photos / 'a_0.png'}", f"--keypoints={photos / 'me_keypoints.json'}"]
    lines = {
        "overview": ["overview", *records, "--limit=3"],
        "reconstruct": ["reconstruct", *records, "--limit=5"],
        "transfer": ["transfer", *records, "--limit=4"],
        "all_pairs": ["transfer", "--all_pairs", *files],
        "poses": ["transfer", *one, f"--target_keypoints={photos / 'keypoints.csv'}"]
        + ["--target_size=100x80"],
        "target_image": ["transfer", *one, f"--target_image={photos / 'b_0.png'}"]
        + [f"--target_keypoints={photos / 'keypoints.csv'}"],
        "factors": ["sample", "--factors=foreground,pose", "--count=2", *one],
        "noise": ["sample", "--count=2", "--seed=4"],
        "truncated": ["sample", "--count=2", "--seed=4", "--truncation=0.5", "--factors=pose"],
        "interpolate": ["interpolate", *records, "--steps=3", "--factors=all"],
        "between": ["interpolate", *files, "--steps=2", "--factors=pose"]
        + ["--between=a_0,b_0", "--animation=none", "--path=spherical"],
        "seeds": ["interpolate", "--seeds=4,5", "--steps=3", "--animation=webp"]
        + ["--factors=background"],
        "invert": ["invert", *records, "--limit=2", "--inversion_steps=10", "--steps=3"]
        + ["--factors=background,pose", "--animation=none"],
        "mix": ["mix", *files, "--regions=head", "--background_of=b_0"],
        "legs": ["mix", *files, "--regions=legs", "--background_of=b_0"],
        "identities": ["identities", "--identities=2", "--images_per_identity=3"]
        + ["--test_identities=1"],
        "real_poses": ["identities", "--identities=1", "--images_per_identity=2", *records],
    }
    folders = {name: folder / name for name in lines} | {"legs": folder / "mix"}
    results = run_in_one_process(
        [line[0], f"--run_dir={run_dir}", f"--out_dir={folders[name]}", *line[1:]]
        for name, line in lines.items()
    )
    return {name: (folders[name], *result) for name, result in zip(lines, results, strict=True)}


def _finished(outputs, name):
    """Folder of a verb that ended well."""
    folder, status, _, stderr = outputs[name]
    assert status == 0, stderr
    return folder


def test_reconstruct_names_files_after_their_sources(outputs):
    folder = _finished(outputs, "reconstruct")
    manifest = _manifest(folder)
    pictures = sorted(path.stem for path in folder.glob("*.png"))
    assert len(pictures) == 5
    for name in pictures:
        assert manifest["files"][f"{name}.png"]["source"] == name
        with (
            Image.open(folder / f"{name}.png") as image,
            np.load(folder / manifest["files"][f"{name}.png"]["codes"]) as codes,
        ):
            assert image.size == (32, 64)
            assert codes["keypoints"].shape == (18, 3)
    assert (folder / "sheets" / "sheet_000.png").exists()


def test_overview_is_one_sheet(outputs):
    folder = _finished(outputs, "overview")
    sheet = _manifest(folder)["files"]["sheets/overview.png"]
    assert sheet["rows"][:2] == ["real", "reconstructed"] and len(sheet["columns"]) == 3
    assert {"background sampled", "all sampled"} <= set(sheet["rows"])


def test_transfer_pairs_records(outputs):
    folder = _finished(outputs, "transfer")
    names = [path.stem.split("_to_") for path in folder.glob("*.png")]
    assert len(names) == 4
    assert all(source[:4] == target[:4] and source != target for source, target in names)


def test_all_pairs_of_a_folder_reports_bad_images_and_finishes_the_rest(outputs):
    folder, status, stdout, _ = outputs["all_pairs"]
    assert status == 1
    assert re.search(r"left out: .*broken.png: is not a JPEG or PNG image", stdout)
    assert re.search(r"left out: .*unseen.png: not one keypoint is visible", stdout)
    good = ("a_0", "a_1", "b_0")
    expected = {f"{source}_to_{target}.png" for source in good for target in good}
    assert {path.name for path in folder.glob("*.png")} == expected


def test_transfer_to_the_poses_of_a_keypoint_file(outputs):
    folder, status, stdout, stderr = outputs["poses"]
    names = {path.stem for path in folder.glob("*.png")}
    assert names == {f"a_0_to_{target}" for target in ("a_0", "a_1", "b_0", "broken")}
    assert re.search("left out: .*unseen.png: not one keypoint is visible", stdout)
    assert status == 1, stderr


def test_transfer_to_the_pose_of_an_image(outputs):
    folder = _finished(outputs, "target_image")
    assert [path.name for path in folder.glob("*.png")] == ["a_0_to_b_0.png"]
    target = np.load(outputs["poses"][0] / "codes" / "a_0_to_b_0.npz")["keypoints"]
    with np.load(folder / "codes" / "a_0_to_b_0.npz") as codes:
        np.testing.assert_array_equal(codes["keypoints"], target)
    rows = _manifest(folder)["files"]["sheets/sheet_000.png"]["rows"]
    assert rows == ["target", "pose", "a_0"]


def test_factors_hold_the_others_at_the_photo(outputs):
    folder = _finished(outputs, "factors")
    codes = [np.load(folder / "codes" / f"a_0_foreground+pose_00{k}.npz") for k in range(2)]
    np.testing.assert_array_equal(codes[0]["background"], codes[1]["background"])
    for factor in ("foreground", "pose", "keypoints"):
        assert not np.array_equal(codes[0][factor], codes[1][factor]), factor
    made_from = _manifest(folder)["files"]["a_0_foreground+pose_000.png"]
    assert made_from["factors"] == {"foreground": "noise", "background": "held", "pose": "noise"}


def test_factors_from_noise_hold_one_sample(outputs):
    folder = _finished(outputs, "noise")
    held = np.load(folder / "codes" / "seed4_held.npz")
    for factor in ("foreground", "background", "pose"):
        for k in range(2):
            codes = np.load(folder / "codes" / f"seed4_{factor}_00{k}.npz")
            for name in ("foreground", "background", "pose"):
                assert np.array_equal(codes[name], held[name]) == (name != factor), (factor, name)


def test_truncated_samples_are_halfway_to_their_mean(outputs):
    whole, half = _finished(outputs, "noise"), _finished(outputs, "truncated")
    poses = [
        np.load(folder / "codes" / f"seed4_pose_00{k}.npz")["pose"]
        for folder in (whole, half)
        for k in range(2)
    ]
    np.testing.assert_allclose(poses[3] - poses[2], (poses[1] - poses[0]) / 2, rtol=0, atol=1e-5)


def test_interpolation_frames_strip_and_animation(outputs):
    folder = _finished(outputs, "interpolate")
    for start, frames in _journeys(folder):
        assert frames == [f"{start}_{k:03d}.png" for k in range(3)]
        with Image.open(folder / f"{start}.gif") as image:
            assert image.n_frames == 4
    assert len(_journeys(folder)) == 2  # two images of one person, two persons
    assert len(list((folder / "sheets").iterdir())) == 2


def _journeys(folder):
    names = sorted(path.name for path in folder.glob("*_000.png"))
    starts = [name.removesuffix("_000.png") for name in names]
    return [(s, sorted(p.name for p in folder.glob(f"{s}_*.png"))) for s in starts]


def test_interpolation_between_named_persons(outputs):
    folder = outputs["between"][0]
    pictures = {path.name for path in folder.glob("*.png")}
    assert pictures == {"a_0_to_b_0_pose_000.png", "a_0_to_b_0_pose_001.png"}
    assert _manifest(folder)["files"]["a_0_to_b_0_pose_000.png"]["path"] == "spherical"


def test_interpolation_between_seeds(outputs):
    folder = _finished(outputs, "seeds")
    codes = folder / "codes"
    ends = [np.load(codes / f"seed4_to_seed5_noise_background_00{k}.npz") for k in (0, 2)]
    np.testing.assert_array_equal(ends[0]["foreground"], ends[1]["foreground"])
    assert not np.array_equal(ends[0]["background"], ends[1]["background"])
    with Image.open(folder / "seed4_to_seed5_noise_background.webp") as image:
        assert image.n_frames == 4


def test_inversion_reports_residual_and_convergence(outputs):
    folder = _finished(outputs, "invert")
    manifest = _manifest(folder)
    inverted = [f for name, f in manifest["files"].items() if name.endswith("_inverted.png")]
    assert len(inverted) == 2
    for figures in (file["inversion"] for file in inverted):
        assert set(figures) == {"background", "pose"}
        assert set(figures["pose"]) == {"converged", "residual", "explained", "spread"}
    assert manifest["summary"]["pose"]["photos"] == 2
    assert re.search(r"pose: \d of 2 converged, .*% of the variance", outputs["invert"][2])
    assert list(folder.glob("*_to_*_noise_background+pose_002.png"))
    assert {"inverted_000.png", "strip_000.png"} <= {p.name for p in folder.glob("sheets/*.png")}


def test_an_inverted_person_can_be_drawn_from_the_codes(run_dir, outputs, tmp_path):
    picture = next(outputs["invert"][0].glob("*_inverted.png"))
    codes = picture.parent / "codes" / f"{picture.stem}.npz"
    line = ["draw", f"--run_dir={run_dir}", f"--codes={codes}", f"--out_dir={tmp_path / 'out'}"]
    [(status, _, stderr)] = run_in_one_process([line])
    assert status == 0, stderr
    drawn, first = (Image.open(path) for path in (tmp_path / "out/person_000.png", picture))
    assert np.abs(np.asarray(drawn).astype(int) - np.asarray(first)).max() <= 1


def test_mixing_is_a_grid(outputs):
    folder, status, _, stderr = outputs["mix"]
    assert status == 1, stderr  # for the bad images
    assert len(list(folder.glob("*_with_head_of_*.png"))) == 9
    assert outputs["legs"][1] == 1, outputs["legs"][3]
    sheets = [folder / "sheets" / f"with_{regions}_000.png" for regions in ("head", "legs")]
    assert sheets[0].read_bytes() != sheets[1].read_bytes(), "either grid is there"
    codes = [np.load(path) for path in (folder / "codes").iterdir()]
    for person in codes[1:]:
        np.testing.assert_array_equal(person["background"], codes[0]["background"])


@pytest.mark.parametrize(
    "name, count, tests", [("identities", 6, [1, 2]), ("real_poses", 2, [0, 0])]
)
def test_identities_are_laid_out_as_market1501(outputs, name, count, tests):
    folder = _finished(outputs, name)
    tested = [len(list((folder / name).iterdir())) for name in ("query", "bounding_box_test")]
    assert tested == tests
    files = sorted(path.name for path in (folder / "bounding_box_train").iterdir())
    assert len(files) == count
    assert all(re.fullmatch(r"\d{4}_c[1-6]s[1-6]_\d{6}_\d{2}\.jpg", file) for file in files)
    made_from = _manifest(folder)["files"][f"bounding_box_train/{files[0]}"]
    assert isinstance(made_from["discriminator"], float)
    assert (made_from["pose_of"] == "noise") == (name == "identities")


def test_goes_on_where_it_stopped_and_a_seed_gives_the_same_picture(outputs, run_dir, tmp_path):
    folder = _finished(outputs, "noise")
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    lost, kept = again / "seed4_pose_001.png", again / "seed4_pose_000.png"
    lost.unlink()
    stamp = kept.stat().st_mtime_ns
    line = ["sample", f"--run_dir={run_dir}", f"--out_dir={again}", "--count=2"]
    same, other = run_in_one_process([[*line, "--seed=4"], [*line, "--seed=5"]])
    assert same[0] == 0, same[2]
    assert kept.stat().st_mtime_ns == stamp
    with Image.open(lost) as found, Image.open(folder / lost.name) as expected:
        assert np.abs(np.asarray(found).astype(int) - np.asarray(expected)).max() <= 1
    assert other[0] == 1
    assert re.search(r"holds files made with seed=4, not 5", other[2])


def test_a_pose_code_is_drawn_by_its_decoder(outputs, run_dir, tmp_path):
    folder = _finished(outputs, "noise")
    with np.load(folder / "codes" / "seed4_held.npz") as arrays:
        np.savez(
            tmp_path / "c.npz", **{name: arrays[name] for name in arrays if name != "keypoints"}
        )
    line = ["draw", f"--run_dir={run_dir}", f"--codes={tmp_path / 'c.npz'}"]
    [(status, _, stderr)] = run_in_one_process([[*line, f"--out_dir={tmp_path / 'out'}"]])
    assert status == 0, stderr
    with (
        Image.open(tmp_path / "out" / "person_000.png") as drawn,
        Image.open(folder / "seed4_held.png") as sampled,
    ):
        assert np.abs(np.asarray(drawn).astype(int) - np.asarray(sampled)).max() <= 1


def test_what_was_made_before_an_input_changed_is_refused(
    run_dir, photos, synthetic_data, tmp_path
):
    """Keypoints, a photo, codes, records; what is added is drawn beside the others."""
    for name in ("first", "second"):
        shutil.copytree(photos, tmp_path / name)
    shutil.copytree(synthetic_data, tmp_path / "records")
    codes = "first_out/codes/a_0.npz"  # relative to the folder in which the program runs
    lines = [
        ["reconstruct", f"--images={name}", f"--keypoints={name}/keypoints.csv"]
        + [f"--out_dir={name}_out", "--limit=1"]
        for name in ("first", "second")
    ]
    lines = [
        [*line, f"--run_dir={run_dir}"]
        for line in (
            *lines,
            ["draw", f"--codes={codes}", "--out_dir=drawn"],
            ["reconstruct", "--data_dir=records", "--out_dir=records_out", "--limit=1"],
        )
    ]
    for status, _, stderr in run_in_one_process(lines, tmp_path):
        assert status == 0, stderr
    assert _manifest(tmp_path / "drawn")["settings"]["codes"] == str((tmp_path / codes).resolve())
    csv, photo = tmp_path / "first/keypoints.csv", tmp_path / "second/a_0.png"
    [(status, stdout, _)] = run_in_one_process([[*lines[1], "--limit=2"]], tmp_path)
    assert status == 0 and "3 files in second_out, 2 of them from before" in stdout
    csv.write_text(csv.read_text().replace("[", "[3", 1))
    shutil.copy(photos / "b_0.png", photo)
    with np.load(tmp_path / codes) as arrays:
        np.savez(tmp_path / codes, **dict(arrays) | {"background": arrays["background"] + 1})
    (manifest,) = (tmp_path / "records").glob("manifest_*_test.json")
    manifest.write_text(manifest.read_text().replace('"sha256": "', '"sha256": "0'))
    results = run_in_one_process(lines, tmp_path)
    inputs = (csv, photo, tmp_path / codes, manifest)
    for (status, _, stderr), changed in zip(results, inputs, strict=True):
        assert status == 1
        assert f"files made before {changed.resolve()} was changed" in stderr


def test_a_photo_that_is_added_takes_no_name_of_another(run_dir, photos, tmp_path):
    """By its name b_0.jpg comes before b_0.png."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(photos / "b_0.png", folder)
    text = (photos / "keypoints.csv").read_text()
    keypoints = tmp_path / "keypoints.csv"
    line = ["reconstruct", f"--run_dir={run_dir}", f"--images={folder}", f"--keypoints={keypoints}"]
    line += ["--out_dir=out"]
    keypoints.write_text(text + text.splitlines()[1].replace("a_0.png", "b_0.jpg") + "\n")
    [(status, _, stderr)] = run_in_one_process([line], tmp_path)
    assert status == 0, stderr
    with Image.open(photos / "a_0.png") as image:
        image.save(folder / "b_0.jpg")
    [(status, stdout, stderr)] = run_in_one_process([line], tmp_path)
    assert status == 0, stderr
    assert "3 files in out, 2 of them from before" in stdout
    manifest = _manifest(tmp_path / "out")
    assert manifest["names"] == {"b_0.png": "b_0", "b_0.jpg": "b_0-2"}
    assert manifest["files"]["sheets/sheet_000.png"]["rows"] == ["b_0-2", "b_0"]


def test_first_pictures_come_without_a_graph_from_the_networks_that_they_need(monkeypatch, run_dir):
    given = {}

    def load(path, **options):
        given.update(options)
        raise InterruptedError

    monkeypatch.setattr(PersonSampler, "load", load)
    saved = flagsaver.save_flag_values(interpolate.FLAGS)
    try:
        interpolate.FLAGS(["dpig", f"--run_dir={run_dir}", "--seeds=1,2"])
        with pytest.raises(InterruptedError):
            interpolate.main()
    finally:
        flagsaver.restore_flag_values(saved, interpolate.FLAGS)
    assert given["eager_at_first"] and "appearance_encoder" not in given["names"]


def test_two_pictures_of_one_name_are_refused(run_dir, photos, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = (photos / "keypoints.csv").read_text().splitlines()
    named = [lines[0]]
    for name in ("x", "x_to_y", "y_to_z", "z"):
        shutil.copy(photos / "a_0.png", folder / f"{name}.png")
        named.append(lines[1].replace("a_0", name))
    (tmp_path / "k.csv").write_text("\n".join(named) + "\n")
    line = ["transfer", "--all_pairs", f"--run_dir={run_dir}", f"--images={folder}"]
    line += [f"--keypoints={tmp_path / 'k.csv'}", "--out_dir=out"]
    [(status, _, stderr)] = run_in_one_process([line], tmp_path)
    assert status == 1
    assert "x_to_y_to_z.png would be two pictures, with source 'x' and 'x_to_y'" in stderr


def test_a_donor_who_shows_some_of_the_regions_is_left_out(run_dir, photos, tmp_path):
    lines = (photos / "keypoints.csv").read_text().splitlines()
    name, rows, columns = lines[1].split(":")
    seen = [k < 8 or k > 13 for k in range(18)]  # no legs
    kept = [
        [value if see else -1 for value, see in zip(json.loads(text), seen, strict=True)]
        for text in (rows, columns)
    ]
    lines[1] = f"{name}: {kept[0]}: {kept[1]}"
    (tmp_path / "k.csv").write_text("\n".join(lines) + "\n")
    line = [
        "mix",
        f"--run_dir={run_dir}",
        f"--images={photos}",
        f"--keypoints={tmp_path / 'k.csv'}",
    ]
    line += ["--regions=head,lower_garment", "--out_dir=out"]
    [(status, stdout, stderr)] = run_in_one_process([line], tmp_path)
    assert status == 1, stderr  # for the bad images
    assert "note: a_0: head+lower_garment not visible, cannot be taken from this person" in stdout
    assert len(list((tmp_path / "out").glob("*_of_a_1.png"))) == 3
    assert not list((tmp_path / "out").glob("*_of_a_0.png"))


def test_progress_ends_at_the_total_where_the_last_persons_were_seen_before():
    reader = types.SimpleNamespace(total=36, done=0)
    shown = []
    context = types.SimpleNamespace(report=lambda *told: shown.append(told))
    for batch in pictures.tracked(context, reader, [16, 32], "drawn"):
        reader.done = batch
    assert shown == [("drawn", done, 36) for done in (0, 16, 32, 36)]
    reader.total = 32
    assert list(pictures.tracked(context, reader, [0], "drawn")) == [0]
    assert shown[4:] == [("drawn", 0, 32), ("drawn", 32, 32)]


_REFUSED = {
    "reconstruct": [
        ([], "--data_dir, --image or --images must be given"),
        (["--data_dir=d", "--count=3"], "unknown flag --count"),
        (["--data_dir=d", "--keypoints=c.csv"], "--keypoints needs --image or --images"),
        (["--data_dir=d", "--crop=person"], "--crop needs --image or --images"),
        (["--image=a.jpg", "--paste_back"], "--paste_back needs --crop=person"),
        (
            ["--image=a.jpg", "--images=b", "--keypoints=c.csv"],
            "--image and --images exclude each other",
        ),
        (["--data_dir=nowhere"], "data folder nowhere does not exist"),
    ],
    "transfer": [
        (
            ["--data_dir=d", "--target_image=a.jpg", "--target_keypoints=c", "--pose_model=p"],
            "--pose_model needs --image or --images",
        ),
        (
            ["--image=a.jpg", "--keypoints=c.csv"],
            "photos have no pairs: --target_image, --target_keypoints or --all_pairs must be given",
        ),
        (
            ["--data_dir=d", "--target_image=a.jpg", "--target_keypoints=c", "--target_size=9x9"],
            "--target_image and --target_size exclude each other",
        ),
        (
            ["--data_dir=d", "--all_pairs", "--target_image=a.jpg"],
            "--all_pairs and --target_image exclude each other",
        ),
        (
            ["--data_dir=d", "--all_pairs", "--target_keypoints=c"],
            "--all_pairs and --target_keypoints exclude each other",
        ),
        (
            ["--target_keypoints=k", "--target_size=9", "--data_dir=d"],
            "--target_size=9: expected ROWSxCOLUMNS",
        ),
    ],
    "sample": [
        (["--count=1000000000"], "is not an integer in the range"),
        (["--split=test"], "--split needs --data_dir"),
        (["--factors=pose,pose"], "--factors=pose,pose: a factor is named twice"),
        (["--factors=shoes"], "factor must be one of .*; got 'shoes'"),
    ],
    "interpolate": [
        (["--between=a,b"], "--between needs --data_dir or --images"),
        (["--seeds="], "flag --seeds=: expected a value, got none"),
        (["--steps=1000000000"], "is not an integer in the range"),
        (["--data_dir=d", "--between=a"], "--between=a: expected NAME,NAME"),
        (["--seeds=1"], "--seeds needs at least two numbers"),
        (["--seeds=1,x"], "--seeds: 'x' is not a number"),
        (["--seeds=1,2", "--data_dir=d"], "--seeds and --data_dir exclude each other"),
        (["--seeds=1,2", "--seed=3"], "--seed and --seeds exclude each other"),
        (["--images=d", "--seed=3"], "--seed and --images exclude each other"),
        (["--limit=3"], "--limit needs --data_dir or --images"),
    ],
    "invert": [
        (["--data_dir=d", "--precision=mixed_bfloat16"], "unknown flag --precision"),
        (["--data_dir=d", "--candidates=4"], "unknown flag --candidates"),
    ],
    "mix": [
        (["--regions=head"], "--data_dir, --image or --images must be given"),
        (["--data_dir=d", "--regions="], "flag --regions=: expected a value, got none"),
    ],
    "overview": [([], "--data_dir, --image or --images must be given")],
    "identities": [
        (
            ["--data_dir=d", "--target_keypoints=k"],
            "--data_dir and --target_keypoints exclude each other",
        ),
        (["--limit=5"], "--limit needs --data_dir"),
        (["--data_dir=nowhere"], "data folder nowhere does not exist"),
    ],
}


@pytest.mark.parametrize("verb", _REFUSED)
def test_refuses_flags_before_tensorflow_is_loaded(run_dir, tmp_path, verb):
    given = [f"--run_dir={run_dir}", f"--out_dir={tmp_path / 'out'}"]
    program = f"""
import contextlib, io, json, sys
from dpig_tf2.cli import program
import dpig_tf2.cli.{verb}
results = []
for flags in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            program.run("dpig_tf2.cli.{verb}", {given!r} + flags)
        except SystemExit as stop:
            results.append([stop.code, errors.getvalue()])
assert "tensorflow" not in sys.modules
print(json.dumps(results))
"""
    flags, messages = zip(*_REFUSED[verb], strict=True)
    command = [sys.executable, "-c", program, json.dumps(flags)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    for (status, errors), message in zip(json.loads(result.stdout), messages, strict=True):
        assert status == 1
        assert re.fullmatch(f"dpig {verb}: error: .*{message}.*\n", errors)
    assert not (tmp_path / "out").exists()


def test_refuses_input_that_does_not_serve(run_dir, photos, synthetic_data, tmp_path):
    csv = photos / "keypoints.csv"
    stranger = shutil.copy(photos / "a_0.png", tmp_path / "stranger.png")
    untrained = tmp_path / "untrained"
    shutil.copytree(run_dir, untrained)
    with np.load(run_dir / "weights.npz") as weights:
        kept = {name: weights[name] for name in weights.files if "mapping" not in name}
    np.savez(untrained / "weights.npz", **kept)
    cases = {
        "an empty folder": (
            ["reconstruct", f"--images={run_dir}", f"--keypoints={csv}"],
            "holds no images",
        ),
        "no keypoints for the image": (
            ["reconstruct", f"--image={stranger}", f"--keypoints={csv}"],
            "stranger.png: no keypoints in",
        ),
        "no visible keypoint": (
            ["reconstruct", f"--image={photos / 'unseen.png'}", f"--keypoints={csv}"],
            "unseen.png: not one keypoint is visible",
        ),
        "wrong size": (
            ["reconstruct", f"--image={photos / 'a_0.png'}", f"--keypoints={csv}"]
            + ["--resize=none"],
            "a_0.png: is 100 x 80 pixels, expected 64 x 32",
        ),
        "unknown region": (
            ["mix", f"--data_dir={synthetic_data}", "--regions=head,hat"],
            "region must be one of head, ",
        ),
        "no records": (
            ["reconstruct", f"--data_dir={tmp_path}"],
            "no record",
        ),
        "one person only": (
            ["interpolate", f"--data_dir={synthetic_data}", "--limit=1"],
            "an interpolation needs two persons, got 1",
        ),
        "nobody to exchange with": (
            ["mix", f"--data_dir={synthetic_data}", "--limit=1"],
            "an exchange needs two persons, got 1",
        ),
        "unknown person": (
            ["interpolate", f"--data_dir={synthetic_data}", "--between=me,you"],
            "no person is called 'me'; there are 5001",
        ),
    }
    lines = [
        [verb, f"--run_dir={run_dir}", f"--out_dir={tmp_path / f'out{i}'}", *flags]
        for i, ((verb, *flags), _) in enumerate(cases.values())
    ]
    lines.append(["sample", f"--run_dir={untrained}", f"--out_dir={tmp_path / 'out'}"])
    results = run_in_one_process(lines)
    for (case, ((verb, *_), message)), (status, _, stderr) in zip(
        cases.items(), results, strict=False
    ):
        assert status == 1, case
        error = stderr.splitlines()[-1]
        assert error.startswith(f"dpig {verb}: error: ") and message in error, (case, stderr)
    assert not list(tmp_path.glob("out*"))
    assert "there is no trained background_mapping" in results[-1][2]
