import importlib
import json
import pathlib

import numpy as np
import pytest
from absl.testing import flagsaver

from dpig_tf2.config import ConfigError
from dpig_tf2.io.array_files import WeightsError
from dpig_tf2.presets import cards, packing, registry
from dpig_tf2.run_folder import RunFolder

PROSE = {name: f"the {name}" for name in cards.PROSE}


@pytest.fixture
def tiny(cache, tiny_config):
    """A preset without networks that fit, in the user's cache."""
    arrays = {"network/kernel": np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)}
    figures = {"transfer": {"ssim": 0.5, "per_image": [1, 2]}}
    training = {"pose": {"steps": 3, "images": 24}}
    packing.pack(cache / "tiny", tiny_config, arrays, cards.Card(**PROSE), figures, training)
    return cache / "tiny"


@pytest.fixture
def fetched(cache, monkeypatch):
    """Names of what was to be fetched, which is interrupted."""
    names = []

    def fetch(name):
        names.append(name)
        raise InterruptedError

    monkeypatch.setattr(registry, "fetcher", fetch)
    return names


def test_the_shipped_cards_are_complete():
    for name in registry.names():
        card = registry.find(name).card
        assert all(getattr(card, field) for field in cards.PROSE)
        assert card.archive or card.sha256


def test_a_packed_preset_is_listed_with_its_card(tiny):
    assert registry.names()[-1] == "tiny"
    preset = registry.find("tiny")
    assert preset.folder == tiny
    assert preset.card.summary == "the summary"
    assert preset.card.parameters == 6
    assert preset.card.bytes == (tiny / packing.WEIGHTS).stat().st_size
    assert preset.card.figures == {"transfer": {"ssim": 0.5}}  # without what is of single images
    assert preset.card.training == {"pose": {"steps": 3, "images": 24}}


@pytest.mark.parametrize("name", ["nobody", "", "../tiny", "tiny/", ".", "x" * 99, 3])
def test_unknown_names_are_refused_with_the_known_ones(tiny, name):
    with pytest.raises(ConfigError, match="known: .*released_market1501.*tiny") as caught:
        registry.find(name)
    assert caught.value.field == "preset"


def test_what_must_be_fetched_says_how(cache):
    assert registry.find("released_market1501").folder is None
    with pytest.raises(ConfigError, match="dpig download released_market1501") as caught:
        RunFolder.open("preset:released_market1501")
    assert caught.value.field == "preset"


@pytest.mark.parametrize(
    ("verb", "flags"),
    [
        ("train", ["--init_from={}", "--fresh_persons", "--run_dir=run"]),
        ("train", ["--init_from={}", "--fresh_persons", "--run_dir=run", "--preset=market1501"]),
        ("personalize", ["--run_dir={}", "--images=photos", "--out_dir=run"]),
        ("reconstruct", ["--run_dir={}", "--images=photos"]),
        ("evaluate", ["--run_dir={}", "--data_dir=data"]),
    ],
)
def test_what_reads_a_preset_fetches_it_first(fetched, tmp_path, monkeypatch, capsys, verb, flags):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"dpig_tf2.cli.{verb}")
    before = flagsaver.save_flag_values(module.FLAGS)
    module.FLAGS([verb, *(flag.format("preset:released_market1501") for flag in flags)])
    with pytest.raises(InterruptedError):
        module.main()
    flagsaver.restore_flag_values(before, module.FLAGS)
    assert fetched == ["released_market1501"]
    assert "fetching released_market1501, once" in capsys.readouterr().out


def test_what_is_here_is_not_fetched(fetched, tiny):
    registry.require("tiny")
    assert fetched == []


def test_what_ships_goes_before_the_cache(shipped_preset, tiny):
    tiny.rename(tiny.with_name(shipped_preset))
    assert registry.find(shipped_preset).folder != tiny.with_name(shipped_preset)
    assert registry.find(shipped_preset).card.summary != "the summary"


def test_what_is_no_name_is_neither_listed_nor_opened(tiny):
    tiny.rename(tiny.with_name("a copy"))
    assert "a copy" not in registry.names()
    assert registry.name_of("runs/preset:tiny") is None


@pytest.mark.parametrize("open_preset", ["load", "from_preset"])
def test_a_sampler_fetches_its_preset(fetched, open_preset):
    from dpig_tf2 import PersonSampler

    name = "released_market1501" if open_preset == "from_preset" else "preset:released_market1501"
    with pytest.raises(InterruptedError):
        getattr(PersonSampler, open_preset)(name)
    assert fetched == ["released_market1501"]


def test_a_preset_is_opened_and_written_elsewhere(tiny, tiny_config):
    run = RunFolder.open("preset:tiny")
    assert run.config == tiny_config
    assert run.path == tiny
    assert run.samples == pathlib.Path("runs/preset-tiny/samples")
    assert run.metrics == pathlib.Path("runs/preset-tiny/metrics.json")
    assert run.load_saved_weights()["network/kernel"].shape == (2, 3)


def test_no_run_is_made_of_a_preset(tiny, tiny_config):
    with pytest.raises(ConfigError) as caught:
        RunFolder.create("preset:tiny", tiny_config)
    assert caught.value.field == "run_dir"


def test_a_flipped_bit_is_found(tiny):
    file = tiny / packing.WEIGHTS
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(WeightsError, match="SHA-256") as caught:
        RunFolder.open("preset:tiny").load_saved_weights()
    assert caught.value.file == str(file)
    (tiny / cards.FILE).unlink()  # a copy without it has nothing to be compared to
    assert RunFolder.open(tiny).load_saved_weights()["network/kernel"].shape == (2, 3)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"summary": None}, "summary"),
        ({"summary": 3}, "summary"),
        ({"limits": ""}, "limits"),
        ({"training": []}, "training"),
        ({"licence": "MIT"}, "licence"),
        ({"figures": {"ssim": float("nan")}}, None),
    ],
)
def test_cards_are_read_strictly(tmp_path, change, field):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(PROSE | change))
    with pytest.raises(ConfigError) as caught:
        cards.Card.read(path)
    assert caught.value.file == str(path)
    assert caught.value.field == field


@pytest.mark.parametrize("content", ["", "[]", "{", "[[["])
def test_damaged_cards_are_named(tmp_path, content):
    path = tmp_path / "card.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        cards.Card.read(path)
    assert caught.value.file == str(path)


def test_a_preset_is_replaced_when_asked_for_and_whole(tiny, tiny_config, monkeypatch):
    def pack(value, overwrite=False, folder=tiny):
        arrays = {"network/kernel": np.full(6, value, np.float32)}
        packing.pack(folder, tiny_config, arrays, cards.Card(**PROSE), {}, {}, overwrite)

    def content():
        return {path.name: path.read_bytes() for path in tiny.iterdir()}

    before = content()
    with pytest.raises(ConfigError, match="tiny holds a preset already.*--overwrite"):
        pack(1)
    (tiny.parent / ".tiny.12.tmp").mkdir()  # of a process that was killed
    tiny.rename(tiny.parent / ".tiny.12.old.tmp")  # as it replaced the preset
    with pytest.raises(ConfigError, match="tiny holds a preset already"):
        pack(1)
    assert content() == before
    with monkeypatch.context() as broken:
        broken.setattr(packing, "write_json", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pack(1, overwrite=True)
    assert content() == before
    pack(1, overwrite=True)
    assert content().keys() == before.keys() and content() != before
    assert [path.name for path in tiny.parent.iterdir()] == ["tiny"]

    (tiny / "checkpoints").mkdir()  # a run folder is none
    with pytest.raises(ConfigError, match="tiny holds other files"):
        pack(2, overwrite=True)


def test_without_networks_there_is_no_preset(tmp_path, tiny_config):
    with pytest.raises(ConfigError, match="no networks"):
        packing.pack(tmp_path / "none", tiny_config, {}, cards.Card(**PROSE), {}, {})
    assert list(tmp_path.iterdir()) == []
