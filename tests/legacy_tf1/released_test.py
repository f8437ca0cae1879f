"""Released weights from archives of several plausible layouts, made of the reference's numbers."""

import pathlib
import shutil
import zipfile

import pytest

from dpig_tf2.errors import DpigError
from dpig_tf2.io.cache import cache_folder
from dpig_tf2.legacy_tf1 import released
from dpig_tf2.legacy_tf1.checkpoint import CheckpointError
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.sampling.sampler import PersonSampler
from tests.legacy_tf1.reference import STAGES, Reference

pytestmark = pytest.mark.slow  # writes and reads whole checkpoints

MARKET = ("m1", "m2", "m3", "m4")
FASHION = ("m101", "m102", "m103", "m104")


@pytest.fixture(scope="module")
def reference(shared_dir, tmp_path_factory):
    return Reference(shared_dir, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DPIG_RELEASED_MIRRORS", "")
    return cache_folder("presets")


def _as_published(reference, folder):
    names = {
        "m1": "MODEL1_Encoder_GAN_BodyROI7",
        "m2": "MODEL2_PoseRCV_AE",
        "m3": "MODEL3_subSampleAppNetFgBg_WGAN",
        "m4": "MODEL4_subnetSamplePoseRCV_WGAN",
    }
    for model, name in names.items():
        for file in pathlib.Path(reference.prefix(model)).parent.iterdir():
            target = folder / "models_original" / name / file.name.replace("ckpt-7", "ckpt-0")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        state = folder / "models_original" / name / "checkpoint"
        state.write_text('model_checkpoint_path: "/home/of/another/machine/model.ckpt-0"\n')


def _flat(reference, folder):
    """All in one folder, one stage twice, with what an archiver of macOS adds."""
    folder.mkdir()
    for model in MARKET:
        for file in pathlib.Path(reference.prefix(model)).parent.glob("model.ckpt-7.*"):
            shutil.copy(file, folder / f"{model}_{file.name}")
            if model == "m2":
                shutil.copy(file, folder / f"{model}_{file.name.replace('-7.', '-12.')}")
            (folder / f"._{model}_{file.name}").write_bytes(b"\0\5\26\7")


def _together(reference, folder):
    """Both data sets in one archive, two folders deep, with a damaged checkpoint beside them."""
    for model in (*MARKET, *FASHION[1:]):
        for file in pathlib.Path(reference.prefix(model)).parent.iterdir():
            target = folder / "logs" / f"run of {model}" / "best" / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    (folder / "logs" / "broken.ckpt-99.index").write_bytes(b"nothing")


def _archive(reference, tmp_path, layout, name="Market1501_models.zip"):
    folder = tmp_path / "content"
    layout(reference, folder)
    with zipfile.ZipFile(tmp_path / name, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(folder))
    shutil.rmtree(folder)
    return tmp_path / name


@pytest.mark.parametrize("layout", [_as_published, _flat, _together])
def test_checkpoints_are_found_whatever_their_folders(reference, cache, tmp_path, layout):
    archive = _archive(reference, tmp_path, layout)
    folder = released.fetch("released_market1501", [str(archive)])
    assert folder == cache / "released_market1501"
    assert list(cache.iterdir()) == [folder]  # nothing is left of the work
    assert archive.exists()
    run = RunFolder.open("preset:released_market1501")
    assert run.config.preset == "market1501"
    assert all(run.latest_step(stage) is not None for stage in STAGES.values())
    # A second time nothing is fetched.
    assert released.fetch("released_market1501", ["/nowhere.zip"]) == folder


def test_pictures_with_released_weights(reference, cache, tmp_path, monkeypatch):
    archive = _archive(reference, tmp_path, _as_published)
    monkeypatch.setenv("DPIG_RELEASED_MIRRORS", str(tmp_path))  # a folder of archives
    persons = PersonSampler.from_preset("released_market1501").sample(2, ["pose"], seed=1)
    assert persons.images.shape == (2, 128, 64, 3)
    assert archive.exists()


def test_an_archive_of_another_data_set_is_refused(reference, cache, tmp_path):
    def layout(reference, folder):
        for model in ("m1", "m3"):
            shutil.copytree(pathlib.Path(reference.prefix(model)).parent, folder / model)

    archive = _archive(reference, tmp_path, layout, "DF_models.zip")
    with pytest.raises(
        CheckpointError, match="no reconstruction networks of deepfashion"
    ) as caught:
        released.fetch("released_deepfashion", [str(archive)])
    assert caught.value.file == str(archive)
    assert not (cache / "released_deepfashion").exists()


def test_without_a_source_the_message_says_what_to_give(cache, monkeypatch):
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(DpigError, match="dpig download released_market1501") as caught:
        released.fetch("released_market1501", ["/nowhere/at_all.zip"])
    assert "\n" not in str(caught.value) and "DPIG_RELEASED_MIRRORS" in str(caught.value)
