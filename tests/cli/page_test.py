"""dpig page and dpig draw as a user starts them."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # starts programs

_REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, tiny_config):
    from dpig_tf2.config import STAGES
    from dpig_tf2.models import factory
    from dpig_tf2.sampling.sampler import PersonSampler

    model = tiny_config.model
    names = [name for stage in STAGES for name in factory.stage_networks(stage, model)]
    names = [name for name in names if not name.endswith(("critic", "discriminator"))]
    folder = tmp_path_factory.mktemp("run") / "run"
    PersonSampler(tiny_config, factory.build_networks(names, model)).save(folder)
    return folder


def _start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "dpig_tf2.cli.main", *map(str, arguments)],
        cwd=_REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _answer(process, port):
    """What is served: by number and past any proxy, which not every machine sends localhost by."""
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(30):  # on a busy machine a first connection may be refused
        try:
            with directly.open(f"http://127.0.0.1:{port}", timeout=60) as answer:
                return answer.read()
        except urllib.error.URLError as error:
            reason = error
            time.sleep(1)
    process.kill()
    raise AssertionError(f"no answer: {reason}; the page said: {process.stderr.read()[-3000:]}")


def test_the_page_is_served_until_it_is_interrupted(run_dir, tmp_path):
    pytest.importorskip("gradio", reason="Gradio is absent: pip install -e '.[page]'")
    port = _free_port()
    process = _start(
        "page", f"--run_dir={run_dir}", f"--port={port}", DPIG_POSE_MODEL="", HOME=str(tmp_path),
        XDG_CACHE_HOME=str(tmp_path), TMPDIR=str(tmp_path),
    )  # fmt: skip
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "the page is at" in line:
                break
        assert f"http://localhost:{port}" in lines[-1], process.stderr.read()
        assert "dpig download pose_model" in "".join(lines)
        assert b"<html" in _answer(process, port)
        assert list(tmp_path.glob("dpig-page-*"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert not list(tmp_path.glob("dpig-page-*"))
    finally:
        process.kill()


def test_a_port_that_is_taken_is_named(run_dir):
    pytest.importorskip("gradio", reason="Gradio is absent: pip install -e '.[page]'")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = _start("page", f"--run_dir={run_dir}", f"--port={taken.getsockname()[1]}")
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    [line] = [line for line in errors.splitlines() if line.startswith("dpig")]
    assert "name another --port" in line


def test_draw_repeats_pictures_from_their_codes(run_dir, tmp_path):
    from dpig_tf2.io.images import read_rgb
    from dpig_tf2.sampling.sampler import PersonSampler

    sampler = PersonSampler.load(run_dir)
    samples = sampler.draw(sampler.seed_codes(3, 5))
    codes = sampler.seed_codes(3, 5).replace(keypoints=samples.keypoints)
    np.savez(tmp_path / "codes.npz", **codes.as_arrays())
    flags = (f"--run_dir={run_dir}", f"--codes={tmp_path / 'codes.npz'}", f"--out_dir={tmp_path}/o")
    process = _start("draw", *flags)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    for row in range(3):
        drawn = read_rgb(tmp_path / "o" / f"person_{row:03d}.png")
        np.testing.assert_array_equal(drawn, samples.images[row])
    short = codes.as_arrays() | {"foreground": codes.code("foreground")[:, 1:]}
    for arrays, message in (
        ({"other": np.zeros(3)}, "expected codes of persons, found other"),
        ({}, "codes: missing foreground, background, pose"),
        (short, "foreground code has shape"),
    ):
        np.savez(tmp_path / "codes.npz", **arrays)
        process = _start("draw", *flags)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 1
        assert f"error: {tmp_path / 'codes.npz'}: {message}" in errors
