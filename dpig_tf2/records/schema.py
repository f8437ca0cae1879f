"""Every key of the published tf-records: dtype, length, meaning. The only place that spells them.

One example is an ordered pair of images; keys end in `_0` for the source and `_1` for the target.
Names that mislead (`pose_mask_r6` holds a mask of radius 7) are translated here and go no further.
"""

import dataclasses
import functools

from dpig_tf2.errors import DpigError

SIDES = ("source", "target")
# "published": an example is a pair, with all that follows from its keypoints. "lean": an example is
# a photo with its keypoints and labels, under the keys of a source; another file lists the pairs.
LAYOUTS = ("published", "lean")
SIDES_STORED = {"published": 2, "lean": 1}  # in an example
PHOTOS_ENDING = ".photos.tfrecord"
PAIRS_ENDING = ".pairs"
PART_COUNTS = (7, 37)  # the published Market-1501 download holds 7 parts, other records 37

_SIDE = "{side}"
# Lengths that depend on the image size or on the number of parts, as lists of what is allowed.
_LENGTHS = {
    "1": lambda height, width: (1,),
    "20": lambda height, width: (20,),
    "54": lambda height, width: (54,),
    "H*W": lambda height, width: (height * width,),
    "grid*18": lambda height, width: (16 * (16 * width // height) * 18,),
    "P": lambda height, width: PART_COUNTS,
    "4*P": lambda height, width: tuple(4 * parts for parts in PART_COUNTS),
    "0 or 27": lambda height, width: (0, 27),
}


class RecordError(DpigError):
    """A record or record file that cannot be used; the message names the file and the record."""


@dataclasses.dataclass(frozen=True)
class Feature:
    """One line of the schema.

    `key` contains "{side}" where 0 or 1 is put. `length` is a number or a formula of the image size
    (H, W) and the number of parts P; "any" is not checked.
    """

    key: str
    kind: str  # bytes, int64 or float
    length: str
    meaning: str
    required: bool = False

    @functools.cached_property
    def keys(self) -> tuple[str, ...]:
        """The key as it stands in a record: one, or one per side."""
        if _SIDE not in self.key:
            return (self.key,)
        return tuple(self.key.format(side=side) for side in range(len(SIDES)))

    def allowed_lengths(self, height: int, width: int) -> tuple[int, ...] | None:
        """Lengths that a record may hold, None if any."""
        return None if self.length == "any" else _LENGTHS[self.length](height, width)


@dataclasses.dataclass(frozen=True)
class Variant:
    """What the records of one dataset hold beyond the common keys.

    `mask_radii` are the body masks in pixels, `sparse_radii` the sparse pose maps.
    """

    name: str
    file_prefix: str
    height: int
    width: int
    box_rule: str
    mask_radii: tuple[int, ...]
    sparse_radii: tuple[int, ...]
    coarse_grid: bool  # whether pose_peaks_* is written


IMAGE = Feature("image_raw_{side}", "bytes", "1", "encoded JPEG or PNG", required=True)
NAME = Feature("image_name_{side}", "bytes", "1", "file name; absent in older PG2 downloads")
FORMAT = Feature("image_format", "bytes", "1", "jpg or png")
HEIGHT = Feature("image_height", "int64", "1", "rows, pixels")
WIDTH = Feature("image_width", "int64", "1", "columns, pixels")
LABEL = Feature("label", "int64", "1", "1 in every record, whoever is on the images")
IDENTITY = Feature("id_{side}", "int64", "1", "index of the person within the split")
CAMERA = Feature("cam_{side}", "int64", "1", "camera number, -1 where unknown")
REAL = Feature("real_data", "int64", "1", "1 = photographs")
ATTRIBUTES = Feature("attrs_{side}", "int64", "0 or 27", "Market-1501 Attribute values, or empty")
WORD_VECTORS = {
    size: Feature(f"attrs_w2v{size}_{{side}}", "float", "any", "word vectors of the attributes")
    for size in (25, 50, 100, 150)
}
KEYPOINTS = Feature(
    "pose_peaks_{side}_rcv",
    "float",
    "54",
    "18 x (row, column, visibility), pixels; absent in older PG2 downloads",
)
COARSE_GRID = Feature(
    "pose_peaks_{side}",
    "float",
    "grid*18",
    "keypoints one-hot on a grid of 16 rows",
)
CANDIDATES = Feature("pose_subs_{side}", "float", "20", "first row of pose detections")
SEGMENTATION = Feature("seg_{side}", "int64", "H*W", "person segmentation, 0 outside the person")
# Key by the radius that is really stored.
BODY_MASKS = {
    4: Feature("pose_mask_r4_{side}", "int64", "H*W", "body mask of radius 4, {0, 1}"),
    7: Feature("pose_mask_r6_{side}", "int64", "H*W", "body mask of radius 7 (not 6), {0, 1}"),
    8: Feature("pose_mask_r8_{side}", "int64", "H*W", "body mask of radius 8, {0, 1}"),
    10: Feature("pose_mask_r10_{side}", "int64", "H*W", "body mask of radius 10, {0, 1}"),
}
POSE_MAP_SIZE = Feature("shape", "int64", "1", "H * W * 18, the dense length of the sparse maps")
SPARSE_INDICES = {
    radius: Feature(
        f"indices_r{radius}_{{side}}",
        "int64",
        "any",
        f"where the pose map of radius {radius} is 1: (row * W + column) * 18 + keypoint",
    )
    for radius in (4, 8)
}
SPARSE_VALUES = {
    radius: Feature(f"values_r{radius}_{{side}}", "float", "any", "1 for each of the indices")
    for radius in (4, 8)
}
PART_BOXES = Feature("part_bbox_{side}", "int64", "4*P", "P x [y1, x1, y2, x2], pixels")
PART_VISIBILITY = Feature("part_vis_{side}", "int64", "P", "1 = the part has a visible keypoint")
UNUSED_MASK = Feature("roi10_mask_{side}", "int64", "any", "not used")

FEATURES = (
    NAME, IMAGE, FORMAT, HEIGHT, WIDTH, LABEL, IDENTITY, CAMERA, REAL, ATTRIBUTES,
    *WORD_VECTORS.values(), COARSE_GRID, KEYPOINTS, *BODY_MASKS.values(), POSE_MAP_SIZE,
    *SPARSE_INDICES.values(), *SPARSE_VALUES.values(), PART_BOXES, PART_VISIBILITY, CANDIDATES,
    SEGMENTATION, UNUSED_MASK,
)  # fmt: skip

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("market1501", "Market1501", 128, 64, "market1501", (4, 7), (4,), True),
        Variant("deepfashion", "DeepFashion", 256, 256, "deepfashion", (4, 8), (4, 8), True),
        Variant("keypoints", "DeepFashion", 256, 256, "deepfashion", (4, 8, 10), (4, 8), False),
    )
}


def variant(name: str) -> Variant:
    """The named variant. Raises DpigError for an unknown name."""
    if name not in VARIANTS:
        raise DpigError(f"record variant must be one of {', '.join(VARIANTS)}; got {name!r}")
    return VARIANTS[name]


def manifest_name(stem: str) -> str:
    """File name of the manifest of some shards, by how their names begin."""
    return f"manifest_{stem}.json"


MAX_SHARDS = 99_999  # their numbers have five digits


def shard_name(
    prefix: str, split: str, shard: int, num_shards: int, layout: str = "published"
) -> str:
    """File name of one shard, e.g. Market1501_train_00000-of-00001.tfrecord.

    In the lean layout it ends in .photos.tfrecord.
    """
    ending = PHOTOS_ENDING if layout == "lean" else ".tfrecord"
    return f"{prefix}_{split}_{shard:05d}-of-{num_shards:05d}{ending}"


def pairs_name(prefix: str, split: str) -> str:
    """File name of the pairs of a split in the lean layout, e.g. Market1501_train.pairs."""
    return f"{prefix}_{split}{PAIRS_ENDING}"
