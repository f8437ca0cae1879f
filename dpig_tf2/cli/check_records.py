"""Says what a folder of tf-records holds and whether it can be read.

Examples:
    dpig check_records data/synthetic
    dpig check_records data/market1501

Every record is read. The exit status is 1 if one is damaged.
"""

from absl import flags

from dpig_tf2.cli import program

FLAGS = flags.FlagValues()
ARGUMENTS = ("DIR",)


def main(folder: str) -> int:
    from dpig_tf2.progress import reporter
    from dpig_tf2.records import check

    show = reporter()
    report = check.check_folder(
        folder, lambda name, done, total: show(f"checking {name}", done, total)
    )
    for line in str(report).splitlines():
        program.say(line)
    return 0 if report.ok else 1


if __name__ == "__main__":
    program.run(__name__)
