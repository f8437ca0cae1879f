"""A few photos of persons, moved and scaled anew in every batch, beside other persons."""

import dataclasses

import numpy as np
import tensorflow as tf
from PIL import Image

from dpig_tf2.config import ModelConfig
from dpig_tf2.errors import counted
from dpig_tf2.ops.keypoints import flip_horizontal, is_outside
from dpig_tf2.pipeline.batches import training_batches
from dpig_tf2.pipeline.fresh_persons import FreshPersons, as_person
from dpig_tf2.pipeline.training_data import RecordPairs, TrainingData, as_shown

_PHOTOS = 2  # second number of the random stream's seed, beside those of `fresh_persons`
_LARGEST_SCALE, _LARGEST_SHIFT = 1.2, 0.1  # either way; shifts in image sizes
_MARGIN = 0.5  # image sizes of border pixels repeated around a photo, for what is moved in


@dataclasses.dataclass(frozen=True)
class PersonalPhotos(TrainingData):
    """Photos to fit networks to without their forgetting what a pose is.

    One row of a batch shows a person in two views: of one photo, or of two photos of the same
    identity, each moved and scaled, and its keypoints alike. The first half of the rows are other
    persons, who keep asking for every pose: synthetic ones, or those of records.

    Attributes:
        images: uint8 [N, H, W, 3].
        keypoints: float32 [N, 18, 3], pixels.
        identities: one for each photo; photos of one identity show one person.
        seed: of what is drawn.
        beside: pairs that take the place of synthetic persons. Networks that were trained on real
            photos forget them beside synthetic persons.
    """

    SERVES = ("reconstruction",)
    REFUSAL = "needs more than a few photos: they train stage reconstruction only"
    SMALLEST_BATCH = 2 * FreshPersons.SMALLEST_BATCH  # half of it are such persons

    images: np.ndarray
    keypoints: np.ndarray
    identities: tuple[str, ...]
    seed: int
    beside: RecordPairs | None = None

    def __len__(self):
        return len(self.images)

    def describe(self) -> str:
        persons = counted(len(set(self.identities)), "person")
        others = f" beside {self.beside.describe()}" if self.beside else ""
        return f"{counted(len(self), 'photo')} of {persons}{others}"

    def batches(self, model: ModelConfig, batch_size: int, start: int = 0) -> tf.data.Dataset:
        """Batches {"source", "target", "scene"}, as `FreshPersons.batches`.

        Args:
            model: gives image size, mask radius and box rule.
            batch_size: rows, at least `SMALLEST_BATCH`, the first half other persons.
            start: number of the first batch.

        Raises:
            RecordError: as `training_batches`, for `beside`.
        """
        count = batch_size // 2
        shape = [batch_size - count, model.height, model.width, 3]

        def draw(number):
            views = tf.numpy_function(
                lambda n: self._views(int(n), shape[0]),
                [number],
                [tf.uint8, tf.float32, tf.uint8, tf.float32],
                stateful=False,
            )
            images = [tf.ensure_shape(image, shape) for image in views[::2]]
            keypoints = [tf.ensure_shape(pose, [shape[0], 18, 3]) for pose in views[1::2]]
            source, target = map(lambda i, k: as_person(i, k, model), images, keypoints)
            return {"source": source, "target": target, "scene": target}

        def joined(*batches):
            return tf.nest.map_structure(lambda *x: tf.concat(x, axis=0), *batches)

        drawn = tf.data.Dataset.counter(start).map(draw)
        others = self._others(model, count, start)
        return tf.data.Dataset.zip(others, drawn).map(joined).prefetch(4)

    def _others(self, model, count, start):
        """Batches of persons who are not of the photos."""
        if self.beside is None:
            return FreshPersons(self.seed).batches(model, count, start)
        pairs = training_batches(
            self.beside.records,
            model,
            count,
            self.seed,
            start,
            self.beside.cache,
            self.beside.skip_bad_records,
        )
        return pairs.map(lambda pair: pair | {"scene": pair["target"]})

    def shown(self, model, count):
        """The photos themselves, at most `count` of them, each in the pose of the next one."""
        rows = np.arange(min(count, len(self)))
        person = as_person(self.images[rows], self.keypoints[rows], model)
        other = tf.nest.map_structure(lambda x: tf.roll(x, -1, axis=0), person)
        return as_shown({"source": person, "target": other})

    def _views(self, number, count):
        """Images and keypoints of `count` sources, then of their targets."""
        rng = np.random.default_rng((self.seed, _PHOTOS, number))
        first = rng.integers(len(self), size=count)
        second = [rng.choice(self._of_same_person(row)) for row in first]
        mirrored = rng.random(count) < 0.5
        sides = []
        for rows in (first, second):
            views = [self._view(rng, row, flip) for row, flip in zip(rows, mirrored, strict=True)]
            sides += [np.stack(values) for values in zip(*views, strict=True)]
        return tuple(sides)

    def _of_same_person(self, row):
        return [i for i, name in enumerate(self.identities) if name == self.identities[row]]

    def _view(self, rng, row, flip):
        height, width = self.images.shape[1:3]
        scale = _LARGEST_SCALE ** rng.uniform(-1, 1)
        shift = rng.uniform(-_LARGEST_SHIFT, _LARGEST_SHIFT, 2) * (height, width)
        image, keypoints = moved(self.images[row], self.keypoints[row], scale, shift)
        if flip:
            image, keypoints = image[:, ::-1], flip_horizontal(keypoints, width).numpy()
        return np.ascontiguousarray(image), keypoints


def moved(image, keypoints, scale: float, shift) -> tuple[np.ndarray, np.ndarray]:
    """A photo scaled about its middle, then shifted, and its keypoints alike.

    Args:
        image: uint8 [H, W, 3]; what comes in from outside repeats its border.
        keypoints: float32 [18, 3], pixels; those that leave the image become missing.
        scale: above 1 makes the person larger.
        shift: (rows, columns), pixels.
    """
    height, width = image.shape[:2]
    pad = int(_MARGIN * max(height, width))
    wide = Image.fromarray(np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    middle = np.array([height - 1, width - 1]) / 2
    # Where output pixel 0 comes from; PIL counts from the corner of a pixel, not from its middle.
    first = middle - (middle + shift) / scale + pad
    row, column = first + 0.5 - 0.5 / scale
    transform = (1 / scale, 0, column, 0, 1 / scale, row)
    resampled = wide.transform(
        (width, height), Image.Transform.AFFINE, transform, Image.Resampling.BILINEAR
    )
    places = (keypoints[:, :2] - middle) * scale + middle + shift
    keypoints = np.concatenate([places, keypoints[:, 2:]], axis=-1).astype(np.float32)
    seen = (keypoints[:, 2] > 0.5) & ~is_outside(keypoints, height, width)
    return np.asarray(resampled), keypoints * seen[:, None]
