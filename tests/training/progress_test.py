import pytest
import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.training.progress import StageLog


def test_tensorboard_sees_scalars_at_once(tmp_path, capsys):
    """While the writer is open: a killed process never closes it. Leaving `as_default` flushes."""
    with StageLog(tmp_path, "pose", start=0, total=10, images_per_step=4) as log:
        for step in (4, 5):
            log.scalars(step, {"loss/pose": 0.25})
        log.progress(5, {"loss/pose": 0.25}, force=True)
        (events,) = tmp_path.glob("events.*")
        records = [
            tf.compat.v1.Event.FromString(record.numpy())
            for record in tf.data.TFRecordDataset(str(events))
        ]
    seen = {(record.step, value.tag) for record in records for value in record.summary.value}
    assert {(4, "loss/pose"), (5, "loss/pose")} <= seen
    assert "[pose] step: 5/10, " in capsys.readouterr().out


def test_no_two_values_of_a_line_are_named_alike(tmp_path, capsys):
    with StageLog(tmp_path, "reconstruction", start=0, total=10, images_per_step=4) as log:
        log.first_step(1, {"loss/reconstruction": 0.25, "error/reconstruction": 0.5})
    assert "reconstruction 0.2500  error reconstruction 0.5000" in capsys.readouterr().out


@pytest.mark.parametrize("speed, shown", [(0.41, " 0.4 images/s"), (412.3, " 412 images/s")])
def test_few_images_a_second_are_not_called_none(tmp_path, capsys, monkeypatch, speed, shown):
    with StageLog(tmp_path, "pose", start=0, total=10, images_per_step=4) as log:
        monkeypatch.setattr(log, "_images_per_second", speed)
        log.progress(5, {"loss/pose": 0.25}, force=True)
    assert shown in capsys.readouterr().out


def _resumed(folder):
    return StageLog(folder, "pose", start=2, total=10, images_per_step=4)


def test_scalars_of_later_steps_and_a_line_cut_off_are_dropped(tmp_path):
    scalars = tmp_path / "scalars.jsonl"
    scalars.write_text('{"step": 1}\n{"step": 3}\n{"step": 2}\n{"st')
    with _resumed(tmp_path):
        assert scalars.read_text() == '{"step": 1}\n{"step": 2}\n'


@pytest.mark.parametrize("line", ["odd", "[" * 9000 + "}", "3", '{"step": "x"}', '{"step": 1e999}'])
def test_odd_scalars_are_named_by_line(tmp_path, line):
    scalars = tmp_path / "scalars.jsonl"
    scalars.write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(DpigError, match="scalars.jsonl line 2: ") as raised:
        _resumed(tmp_path)
    assert raised.value.file == str(scalars)
