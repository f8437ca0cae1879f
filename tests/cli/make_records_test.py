import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # starts programs

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def run(*flags, **environment):
    return subprocess.run(
        [sys.executable, "-m", "dpig_tf2.cli.make_records", *flags],
        cwd=REPOSITORY,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give one of --source (write records), --check (report on a folder) and --download"),
        (["--source=synthetic", "--check=x"], "give one of --source"),
        (["--source=synthetic"], "--out_dir is needed for --source=synthetic"),
        (
            ["--source=synthetic", "--out_dir=x", "--keypoints=k.csv"],
            "--keypoints does not apply to --source=synthetic",
        ),
        (["--check=x", "--seed=1"], "--seed does not apply to --check"),
        (
            ["--source=market1501", "--raw_dir=r", "--out_dir=x", "--height=64"],
            "--height does not apply to --source=market1501",
        ),
        (
            ["--source=keypoints", "--raw_dir=r", "--keypoints=k", "--out_dir=x"]
            + ["--pairs_csv=p", "--pairs=one_to_all"],
            "--pairs_csv takes the place of --pairs",
        ),
        (["--bogus=1"], "Unknown command line flag 'bogus'"),
        (["--source=synthetic", "--out_dir=x", "spare"], "unexpected argument 'spare'"),
    ],
)
def test_bad_flags_fail_at_once_in_one_line(tmp_path, flags, message):
    result = run(*flags)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (REPOSITORY / "x").exists()


def test_synthetic_then_check(tmp_path):
    flags = ("--source=synthetic", f"--out_dir={tmp_path}", "--identities=2", "--num_shards=2")
    made = run(*flags, "--images_per_identity=3", "--pairs_per_image=1")
    assert made.returncode == 0, made.stderr
    assert f"6 examples in {tmp_path}" in made.stdout
    assert "Market1501_train: 6/6" in made.stderr
    report = run(f"--check={tmp_path}")
    assert report.returncode == 0
    assert "2 files, 6 examples" in report.stdout and "no problems" in report.stdout
    (shard,) = tmp_path.glob("*00001-of-00002.tfrecord")
    shard.write_bytes(shard.read_bytes()[:-5])
    damaged = run(f"--check={tmp_path}")
    assert damaged.returncode == 1
    assert f"{shard}: record 2 is cut off" in damaged.stdout


def test_market1501_dry_run(shared_dir, tmp_path):
    raw_dir = shared_dir / "fixtures/convert/market1501_raw"
    result = run(
        "--source=market1501", f"--raw_dir={raw_dir}", f"--out_dir={tmp_path}", "--dry_run"
    )
    assert result.returncode == 0, result.stderr
    assert "28 examples of 3 identities, 128 x 64 pixels" in result.stdout
    assert "note: " in result.stdout
    assert not list(tmp_path.iterdir())


def test_download_without_mirror_says_what_to_do(tmp_path):
    result = run("--download=market1501", f"--out_dir={tmp_path}", DPIG_MARKET1501_MIRRORS="")
    assert result.returncode == 1
    assert f"put the file at {tmp_path / 'market1501.zip'}" in result.stderr
    assert "--mirror=URL" in result.stderr


def test_download_from_a_local_archive(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("records/readme.txt", "hello")
    out_dir = tmp_path / "out"
    mirrors = f"{tmp_path / 'absent.zip'} {tmp_path / 'a.zip'}"
    result = run("--download=deepfashion", f"--out_dir={out_dir}", DPIG_DEEPFASHION_MIRRORS=mirrors)
    assert result.returncode == 0, result.stderr
    assert (out_dir / "records/readme.txt").read_text() == "hello"
