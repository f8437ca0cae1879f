"""Synthetic persons drawn while training: no photo is seen twice, but for its mirror image."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from dpig_tf2 import synthetic
from dpig_tf2.config import ModelConfig
from dpig_tf2.ops import drawing, pose_maps, regions
from dpig_tf2.ops.keypoints import flip_horizontal
from dpig_tf2.pipeline.training_data import PERSONS_AT_A_TIME, TrainingData, as_shown
from dpig_tf2.synthetic.scene import vary_background

# Second number of a random stream's seed. Neither is that of the looks in `synthetic.make_images`:
# whoever trains here with a seed has not seen the persons of that seed's test set.
_PHOTOS, _BATCHES = 1, 3
_PREPARED = 8  # batches drawn ahead


@dataclasses.dataclass(frozen=True)
class FreshPersons(TrainingData):
    """An endless supply of photos of synthetic persons.

    Attributes:
        seed: the same seed gives the same persons.
        photos: how many distinct photos stand for all where a stage needs a finite set.
        drawn_poses: likewise, for the pose stages; their mirror images come on top.
    """

    SMALLEST_BATCH = 2  # the scene of one person is another's, too

    seed: int
    photos: int = 20_000
    drawn_poses: int = 50_000

    def batches(self, model: ModelConfig, batch_size: int, start: int = 0) -> tf.data.Dataset:
        """Batches {"source", "target", "scene"} of persons as `pipeline.parser` documents them.

        Source and target of a row show one person in two poses and scenes; scene shows another
        person before exactly the target's scene. Odd batches are the mirror images of the even ones
        before them: drawing takes a tenth of a training step's time, this halves it. A batch is a
        function of seed and number.

        Args:
            model: gives image size, mask radius and box rule.
            batch_size: persons, at least `SMALLEST_BATCH`.
            start: number of the first batch.
        """

        def draw(number):
            images, keypoints = tf.numpy_function(
                lambda n: self._batch(int(n), model, batch_size),
                [number],
                [tf.uint8, tf.float32],
                stateful=False,
            )
            images = tf.ensure_shape(images, [2, batch_size, model.height, model.width, 3])
            keypoints = tf.ensure_shape(keypoints, [2, batch_size, 18, 3])
            source, target = (
                as_person(image, pose, model)
                for image, pose in zip(tf.unstack(images), tf.unstack(keypoints), strict=True)
            )
            return {"source": source, "target": target}

        def both(batch):
            mirrored = {side: _mirrored(person, model) for side, person in batch.items()}
            pairs = tf.nest.map_structure(lambda *x: tf.stack(x), batch, mirrored)
            return tf.data.Dataset.from_tensor_slices(pairs)

        def with_scene(batch):
            scene = tf.nest.map_structure(lambda x: tf.roll(x, -1, axis=0), batch["source"])
            return batch | {"scene": scene}

        drawn = tf.data.Dataset.counter(start // 2).map(draw).flat_map(both).skip(start % 2)
        return drawn.map(with_scene).prefetch(_PREPARED)

    def _batch(self, number, model, batch_size):
        """Images uint8 [2, B, H, W, 3] and keypoints [2, B, 18, 3] of sources and targets."""
        rng = np.random.default_rng((self.seed, _BATCHES, number))
        foregrounds = [synthetic.sample_foreground(rng) for _ in range(batch_size)]
        scenes = [_scene(rng) for _ in range(batch_size)]
        drawn = [
            _draw(foreground, scene, synthetic.sample_pose(rng), model)
            for ordered in (scenes, scenes[1:] + scenes[:1])
            for foreground, scene in zip(foregrounds, ordered, strict=True)
        ]
        images, keypoints = (np.stack(values) for values in zip(*drawn, strict=True))
        return images.reshape(2, batch_size, *images.shape[1:]), keypoints.reshape(
            2, batch_size, 18, 3
        )

    def describe(self) -> str:
        return f"synthetic persons drawn with seed {self.seed}"

    def shown(self, model, count):
        """Persons that no training with this seed shows."""
        unseen = dataclasses.replace(self, seed=self.seed + 1)
        return as_shown(next(iter(unseen.batches(model, count))))

    def __len__(self):
        return self.photos

    def fingerprint(self):
        return repr(self).encode()

    def poses(self, model: ModelConfig) -> np.ndarray:
        """Keypoints of `drawn_poses` persons and their mirror images, float32 [2 N, 18, 3], pixels.

        Many: from 20,000 poses the autoencoder learned those by heart.
        """
        rngs = (np.random.default_rng((self.seed, _PHOTOS, n)) for n in range(self.drawn_poses))
        size = (model.height, model.width)
        found = [synthetic.pose_keypoints(synthetic.sample_pose(rng), *size) for rng in rngs]
        drawn = np.stack(found).astype(np.float32)
        return np.concatenate([drawn, drawing.mirrored(drawn, model.width)])

    def persons(self, model: ModelConfig) -> Iterator[dict]:
        """Photos of the first `photos` persons of `poses`, in batches of persons."""
        for first in range(0, self.photos, PERSONS_AT_A_TIME):
            drawn = []
            for number in range(first, min(first + PERSONS_AT_A_TIME, self.photos)):
                rng = np.random.default_rng((self.seed, _PHOTOS, number))
                pose = synthetic.sample_pose(rng)
                drawn.append(_draw(synthetic.sample_foreground(rng), _scene(rng), pose, model))
            images, keypoints = (np.stack(values) for values in zip(*drawn, strict=True))
            yield as_person(tf.constant(images), tf.constant(keypoints), model)


def _scene(rng):
    return vary_background(rng, synthetic.sample_background(rng))


def _draw(foreground, background, pose, model):
    size = (model.height, model.width)
    image = synthetic.render(foreground, background, pose, *size)
    return image, synthetic.pose_keypoints(pose, *size).astype(np.float32)


def _mirrored(person, model):
    """The persons mirrored left to right, left and right keypoints exchanged."""
    keypoints = flip_horizontal(person["keypoints"], model.width)
    boxes, visibility = regions.part_boxes(keypoints, model.height, model.width, model.box_rule)
    return {
        "image": tf.reverse(person["image"], axis=[2]),
        "keypoints": keypoints,
        "body_mask": tf.reverse(person["body_mask"], axis=[2]),
        "part_boxes": boxes,
        "part_visibility": visibility,
    }


def as_person(image, keypoints, model: ModelConfig) -> dict[str, tf.Tensor]:
    """Photos [B, H, W, 3] and keypoints [B, 18, 3] as persons with masks and boxes drawn."""
    boxes, visibility = regions.part_boxes(keypoints, model.height, model.width, model.box_rule)
    size = (model.height, model.width)
    mask = pose_maps.body_mask(keypoints, *size, model.mask_radius, "fast")
    return {
        "image": image,
        "keypoints": keypoints,
        "body_mask": tf.cast(mask, tf.uint8),
        "part_boxes": boxes,
        "part_visibility": visibility,
    }
