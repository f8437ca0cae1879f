import numpy as np
import tensorflow as tf

from dpig_tf2.serving import warmup


def test_requests_are_read_as_they_were_written(tmp_path):
    requests = {
        "transfer": {"images": np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)},
        "transfer_encoded": {"image_bytes": np.array([b"\xff\xd8\x00"], object)},
        "sample": {"count": np.int32(2), "seed": np.int32(-1)},
    }
    warmup.write(tmp_path / "requests", requests)
    found = warmup.read(tmp_path / "requests")
    assert found.keys() == requests.keys()
    for name, inputs in requests.items():
        assert found[name].keys() == inputs.keys()
        for key, array in inputs.items():
            np.testing.assert_array_equal(found[name][key], array)


def test_bytes_are_those_of_the_server(tmp_path):
    """Field by field, as protocol buffers write the messages of TensorFlow Serving."""

    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    value = np.int32(5)
    warmup.write(tmp_path / "requests", {"sample": {"count": value}})
    (record,) = tf.data.TFRecordDataset(str(tmp_path / "requests")).as_numpy_iterator()
    tensor = tf.make_tensor_proto(value).SerializeToString()
    inputs = field(2, field(1, b"count") + field(2, tensor))
    request = field(1, field(3, b"sample")) + inputs
    assert record == field(6, field(1, request))
