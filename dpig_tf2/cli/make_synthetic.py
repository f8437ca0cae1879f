"""Makes tf-records of synthetic persons whose factors are known.

Examples:
    dpig make_synthetic --out_dir=data/synthetic --split=train --identities=200
    dpig make_synthetic --out_dir=data/synthetic --split=test --identities=240 \\
        --images_per_identity=2 --pairs_per_image=1

synthetic_factors_<split>.json beside the records holds the foreground, background and pose of every
image. Started again, it goes on at the first record file that is missing or damaged.
"""

from absl import flags

from dpig_tf2.cli import flag_groups, program, record_making

FLAGS = flags.FlagValues()
_OUTPUT = record_making.RecordOutputFlags(FLAGS)
_HEIGHT, _WIDTH = record_making.define_image_size(FLAGS, "48 x 24")
_IDENTITIES = flags.DEFINE_integer(
    "identities", 150, "Number of persons.", lower_bound=1, flag_values=FLAGS
)
_IMAGES_PER_IDENTITY = flags.DEFINE_integer(
    "images_per_identity", 12, "Images of each person.", lower_bound=2, flag_values=FLAGS
)
_PAIRS_PER_IMAGE = flags.DEFINE_integer(
    "pairs_per_image",
    3,
    "Targets that each image is paired with.",
    lower_bound=1,
    flag_values=FLAGS,
)
_FIRST_IDENTITY = flags.DEFINE_integer(
    "first_identity",
    None,
    "Number of the first person. By default 1 for the split train, 5001 for others.",
    lower_bound=1,
    flag_values=FLAGS,
)
_SEED = flag_groups.define_seed(FLAGS, "all persons, images and pairs")


def main() -> None:
    from dpig_tf2.preparation import synthetic_records

    written = synthetic_records.write(
        _OUTPUT.out_dir.value,
        _OUTPUT.split.value,
        identities=_IDENTITIES.value,
        images_per_identity=_IMAGES_PER_IDENTITY.value,
        pairs_per_image=_PAIRS_PER_IMAGE.value,
        height=_HEIGHT.value or 48,
        width=_WIDTH.value or 24,
        parts=int(_OUTPUT.parts.value),
        seed=_SEED.value,
        num_shards=_OUTPUT.num_shards.value,
        first_identity=_FIRST_IDENTITY.value,
        overwrite=_OUTPUT.overwrite.value,
        layout=_OUTPUT.layout.value,
        workers=_OUTPUT.workers,
    )
    record_making.print_written(written)


if __name__ == "__main__":
    program.run(__name__)
