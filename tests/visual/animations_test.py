import io

import numpy as np
import pytest
from PIL import Image

from dpig_tf2.visual.animations import animation


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_frames_go_forth_and_back_without_end_and_enlarged(kind):
    frames = [np.full((64, 32, 3), level, np.uint8) for level in (0, 128, 255)]
    with Image.open(io.BytesIO(animation(frames, kind))) as image:
        assert (image.format, image.size) == (kind.upper(), (128, 256))
        assert (image.n_frames, image.info["loop"]) == (4, 0)
        shown = []
        for number in range(4):
            image.seek(number)
            shown.append(np.asarray(image.convert("L")).mean())
    np.testing.assert_allclose(shown, [0, 128, 255, 128], atol=3)
