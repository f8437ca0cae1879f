"""The page of examples/browser, in headless Chromium, draws what PersonSampler draws."""

import contextlib
import functools
import http.server
import pathlib
import threading

import numpy as np
import pytest

from dpig_tf2.serving.export import export
from dpig_tf2.serving.formats import ExportSettings

pytest.importorskip("tf2onnx", reason="the extra is absent: pip install 'dpig-tf2[onnx]'")
pytestmark = pytest.mark.slow  # converts, and starts a browser

_PAGE = pathlib.Path(__file__).parents[2] / "examples" / "browser"
_PATIENCE = 240_000  # milliseconds; a busy machine compiles WebAssembly slowly


class _Files(http.server.SimpleHTTPRequestHandler):
    """The page's files, and those of an exported version below model/."""

    def __init__(self, model, *args, **kwargs):
        self._model = model
        super().__init__(*args, directory=str(_PAGE), **kwargs)

    def translate_path(self, path):
        file = pathlib.Path(super().translate_path(path))
        below = file.relative_to(_PAGE)
        return (
            str(self._model / pathlib.Path(*below.parts[1:]))
            if "model" in below.parts
            else str(file)
        )

    def log_message(self, format, *args):
        pass


@contextlib.contextmanager
def _served(model):
    """Address of the page, which a server of plain files gives out."""
    handler = functools.partial(_Files, model)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def open_page(browser, sampler, tmp_path):
    """The page with the model of `sampler`, when it has re-posed its person."""
    if not (_PAGE / "node_modules").is_dir():
        pytest.skip(f"npm packages are absent: npm install --prefix {_PAGE}")
    settings = ExportSettings("onnx", signatures=("transfer",))
    export(sampler.config, sampler.model.networks, tmp_path, settings)
    page, problems = browser.new_page(), []
    page.set_default_timeout(_PATIENCE)
    page.on("pageerror", lambda error: problems.append(str(error)))
    with _served(tmp_path) as address:
        page.goto(address)
        page.wait_for_function("document.querySelector('#status').textContent !== 'loading'")
        status = page.inner_text("#status")
        assert status.startswith("re-posed") and not problems, (status, problems)
        page.wait_for_function("window.reposed")
        yield page
        page.close()


def _pixels(page, canvas):
    """Levels of a canvas, uint8 [1, H, W, 3]."""
    levels, height, width = page.evaluate(
        "id => { const c = document.getElementById(id);"
        " const image = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
        " return [Array.from(image.data), c.height, c.width]; }",
        canvas,
    )
    return np.array(levels, np.uint8).reshape(1, height, width, 4)[..., :3]


def test_the_page_draws_what_the_sampler_draws(open_page, sampler):
    photo, result = (_pixels(open_page, canvas) for canvas in ("photo", "result"))
    poses = open_page.evaluate("window.reposed")
    keypoints, target = (np.array([poses[k]], np.float32) for k in ("keypoints", "target"))
    expected = sampler.transfer(photo, keypoints, target)
    assert expected.std() > 20 and photo.std() > 20  # there is something to compare
    assert np.abs(result.astype(int) - expected).max() <= 1
    assert np.abs(sampler.reconstruct(photo, keypoints).astype(int) - expected).max() > 1

    open_page.locator("#way").fill("0")  # back to the photo's own pose
    open_page.wait_for_function(
        "before => { const c = document.getElementById('result');"
        " const image = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " return before.some((level, i) => level !== image[4 * Math.floor(i / 3) + i % 3]); }",
        arg=result.ravel().tolist(),
    )
    expected = sampler.reconstruct(photo, keypoints)
    assert np.abs(_pixels(open_page, "result").astype(int) - expected).max() <= 1
