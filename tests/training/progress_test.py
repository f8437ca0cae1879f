import tensorflow as tf

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
