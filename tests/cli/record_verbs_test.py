"""The verbs that make, check and fetch records, as a user starts them."""

import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # starts programs

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def run(verb, *flags, **environment):
    return subprocess.run(
        [sys.executable, "-m", f"dpig_tf2.cli.{verb}", *flags],
        cwd=REPOSITORY,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("verb", "flags", "message"),
    [
        ("make_synthetic", [], "--out_dir must be given"),
        ("make_synthetic", ["--out_dir=x", "--keypoints=k.csv"], "unknown flag --keypoints"),
        ("check_records", ["x", "--seed=1"], "unknown flag --seed"),
        ("check_records", [], "DIR must be given"),
        ("check_records", ["x", "y"], "unexpected argument 'y': this verb takes DIR"),
        (
            "convert_market1501",
            ["--raw_dir=r", "--out_dir=x", "--height=64"],
            "unknown flag --height",
        ),
        ("convert_deepfashion", ["--out_dir=x"], "--raw_dir must be given"),
        (
            "make_records",
            ["--raw_dir=r", "--keypoints=k", "--out_dir=x", "--pairs_csv=p", "--pairs=one_to_all"],
            "--pairs_csv and --pairs exclude each other",
        ),
        (
            "make_records",
            ["--raw_dir=r", "--out_dir=x", "--keypoints=k", "--pose_model=p"],
            "--keypoints and --pose_model exclude each other",
        ),
        ("make_synthetic", ["--out_dir=x", "--workers=0"], "--workers=0"),
        ("make_synthetic", ["--out_dir=x", "--layout=thin"], "--layout=thin"),
        (
            "make_records",
            ["--raw_dir=r", "--keypoints=k", "--out_dir=x", "--pairs_csv=p", "--pairs_per_image=2"],
            "--pairs_csv and --pairs_per_image exclude each other",
        ),
        ("convert_deepfashion", ["--raw_dir=r", "--out_dir=x", "--pairs_per_image=0"], "=0"),
        ("download", ["market1501", "--out_dir=x", "--sha256=0"], "name it with --arch"),
        ("download", ["market1501"], "--out_dir must be given for market1501"),
        ("download", ["market", "--out_dir=x"], "did you mean market1501?"),
        ("download", ["pose_model", "--archive=raw"], "--archive does not apply to pose_model"),
        ("download", ["released_market1501", "--out_dir=x"], "--out_dir does not apply"),
        ("download", ["virtual_market", "--out_dir=x", "--archive=train"], "is raw"),
        ("download", [], "WHAT must be given"),
        ("detect_poses", ["--images=i"], "--out must be given"),
        ("evaluate_detector", ["--images=i"], "--keypoints must be given"),
        ("make_synthetic", ["--out_dir=x", "--bogus=1"], "unknown flag --bogus"),
        ("make_synthetic", ["--out_dir=x", "spare"], "unexpected argument 'spare'"),
    ],
)
def test_bad_flags_fail_at_once_in_one_line(verb, flags, message):
    result = run(verb, *flags)
    assert result.returncode == 1
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (REPOSITORY / "x").exists()


def test_synthetic_then_check(tmp_path):
    flags = (f"--out_dir={tmp_path}", "--identities=2", "--num_shards=2")
    made = run("make_synthetic", *flags, "--images_per_identity=3", "--pairs_per_image=1")
    assert made.returncode == 0, made.stderr
    assert f"6 examples in {tmp_path}" in made.stdout
    assert "Market1501_train: 6/6" in made.stderr
    report = run("check_records", str(tmp_path))
    assert report.returncode == 0
    assert "2 files, 6 examples" in report.stdout and "no problems" in report.stdout
    (shard,) = tmp_path.glob("*00001-of-00002.tfrecord")
    shard.write_bytes(shard.read_bytes()[:-5])
    damaged = run("check_records", str(tmp_path))
    assert damaged.returncode == 1
    assert f"{shard}: record 2 is cut off" in damaged.stdout


def test_a_folder_keeps_its_layout(tmp_path):
    flags = (f"--out_dir={tmp_path}", "--identities=2", "--images_per_identity=3")
    assert run("make_synthetic", *flags, "--layout=lean", "--workers=2").returncode == 0
    report = run("check_records", str(tmp_path))
    assert "1 file, 6 photos" in report.stdout and "no problems" in report.stdout
    refused = run("make_synthetic", *flags)
    assert refused.returncode == 1
    assert "made with layout='lean', not 'published'" in refused.stderr.splitlines()[-1]


def test_market1501_dry_run(shared_dir, tmp_path):
    raw_dir = shared_dir / "fixtures/convert/market1501_raw"
    flags = (f"--raw_dir={raw_dir}", f"--out_dir={tmp_path}", "--dry_run")
    result = run("convert_market1501", *flags)
    assert result.returncode == 0, result.stderr
    assert "28 examples of 3 identities from 18 of 20 images, 128 x 64 pixels" in result.stdout
    assert "note: " in result.stdout
    assert not list(tmp_path.iterdir())


def test_dead_host_says_what_to_put_where(tmp_path):
    # A proxy that is not there: no test reaches the real host.
    dead = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    flags = ("market1501", f"--out_dir={tmp_path}")
    result = run("download", *flags, DPIG_MARKET1501_MIRRORS="", no_proxy="", **dead)
    assert result.returncode == 1
    assert "NIPS17_PG2/data/Market_train_data.zip: " in result.stderr
    assert (
        f"put the file at {tmp_path / 'Market_train_data.zip'}, or give --mirror" in result.stderr
    )
    assert "--mirror=URL" in result.stderr
    assert not list(tmp_path.iterdir())


def test_download_from_local_archives(tmp_path):
    import zipfile

    for split in ("train", "test"):
        with zipfile.ZipFile(tmp_path / f"DF_{split}_data.zip", "w") as file:
            file.writestr(f"data4tf/DeepFashion_{split}_00000-of-00001.tfrecord", "records")
            file.writestr("data4tf/tf_record_pair_num.txt", "1")
    out_dir = tmp_path / "out"
    mirrors = f"{tmp_path / 'absent'} {tmp_path}"
    flags = ("deepfashion", f"--out_dir={out_dir}")
    result = run("download", *flags, DPIG_DEEPFASHION_MIRRORS=mirrors)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in out_dir.glob("*")) == [
        "DeepFashion_test_00000-of-00001.tfrecord",
        "DeepFashion_train_00000-of-00001.tfrecord",
        "data4tf",
    ]
