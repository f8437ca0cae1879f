"""The documentation builds as a site, without a broken link and without the network."""

import pathlib
import re
import subprocess
import sys

import pytest

from dpig_tf2.cli import verbs

pytest.importorskip("mkdocs", reason="MkDocs is absent: pip install -e '.[docs]'")
pytest.importorskip("mkdocstrings", reason="mkdocstrings is absent: pip install -e '.[docs]'")

pytestmark = pytest.mark.slow  # builds the site

_REPOSITORY = pathlib.Path(__file__).parents[1]
_LOADED = re.compile(r"<(?:script|img|iframe)[^>]*\ssrc=\"([^\"]*)|<link[^>]*\shref=\"([^\"]*)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if not (_REPOSITORY / "docs" / "page_repose.png").exists():
        pytest.skip("the pictures of the documentation have not been made: scripts/pictures.sh")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={folder}"]
    done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_command_has_a_page_with_its_flags(site):
    for verb in verbs.VERBS:
        assert "Examples:" in (site / "commands" / f"{verb}.html").read_text("utf-8"), verb
    assert "--truncation=NUMBER" in (site / "commands" / "sample.html").read_text("utf-8")


def test_docstrings_are_pages(site):
    text = (site / "api.html").read_text("utf-8")
    assert "Re-poses persons, and samples each factor from noise" in text
    assert 'id="dpig_tf2.sampling.sampler.PersonSampler.transfer"' in text


def test_nothing_is_loaded_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(verbs.VERBS)
    for page in pages:
        for source, link in _LOADED.findall(page.read_text("utf-8")):
            assert not re.match("(https?:)?//", source or link), (page.name, source or link)
