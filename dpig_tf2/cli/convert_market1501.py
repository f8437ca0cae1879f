"""Makes tf-records from the raw Market-1501 folder.

Examples:
    dpig convert_market1501 --raw_dir=raw --split=train --out_dir=data/market1501
    dpig convert_market1501 --raw_dir=raw --split=test --out_dir=data/market1501 --dry_run

data/README.md tells how the raw folder is laid out, and which pairs are made. Started again, it
goes on at the first record file that is missing or damaged.
"""

from absl import flags

from dpig_tf2.cli import program, record_making

FLAGS = flags.FlagValues()
_RAW = record_making.RawDataFlags(
    FLAGS,
    "Raw Market-1501 folder.",
    "One of train, test, test_samples (written as split test), all (train and test).",
    "By default those of split train are.",
)


def main() -> None:
    from dpig_tf2.preparation import market1501

    output = _RAW.output
    record_making.print_conversion(
        market1501.convert(
            _RAW.raw_dir.value, output.out_dir.value, output.split.value, _RAW.options()
        )
    )


if __name__ == "__main__":
    program.run(__name__)
