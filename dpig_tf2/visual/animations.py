"""Pictures one after another, forth and back."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

_FRAME_MILLISECONDS = 120
_HEIGHT = 256  # pixels; smaller pictures are enlarged for people by a whole number


def animation(frames: Sequence[np.ndarray], kind: str = "webp") -> bytes:
    """Frames uint8 [H, W, 3] forth and back as an endless animation, "gif" or "webp"."""
    scale = max(1, _HEIGHT // frames[0].shape[0])
    forth = [Image.fromarray(f.repeat(scale, axis=0).repeat(scale, axis=1)) for f in frames]
    content = io.BytesIO()
    forth[0].save(
        content,
        kind,
        save_all=True,
        append_images=forth[1:] + forth[-2:0:-1],
        duration=_FRAME_MILLISECONDS,
        loop=0,
    )
    return content.getvalue()
