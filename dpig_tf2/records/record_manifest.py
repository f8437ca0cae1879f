"""What a conversion noted about its record files, compared with what is there."""

import pathlib
from collections.abc import Mapping

from dpig_tf2.io import manifests
from dpig_tf2.io.hashes import sha256
from dpig_tf2.records import schema

_NAME = schema.manifest_name("*")


def stems(data_dir) -> list[str]:
    """How the names of those record files begin that have a manifest."""
    before, after = _NAME.split("*")
    found = sorted(pathlib.Path(data_dir).glob(_NAME))
    return [path.name.removeprefix(before).removesuffix(after) for path in found]


def problems(
    data_dir, stem: str, files: Mapping[pathlib.Path, int], checksums: bool = False
) -> list[str]:
    """A line for each way in which record files differ from their manifest; none without one.

    Args:
        data_dir: folder of the files.
        stem: how their names begin, "Market1501_train".
        files: those that are there, with the number of examples in each.
        checksums: read the files and compare their checksums, not only examples and bytes.
    """
    path = pathlib.Path(data_dir) / schema.manifest_name(stem)
    try:
        manifest = manifests.read(path)
    except manifests.OutputError as error:
        return [str(error)]
    if manifest is None:
        return []
    listed = manifest["files"]
    there = {file.name: (file, count) for file, count in files.items()}
    found = [
        f"{path.parent / name} is missing, {path.name} lists it"
        for name in sorted(listed.keys() - there.keys())
    ]
    if manifest.get("finished") is False:
        found.append(f"{path}: the conversion was not finished ({len(listed)} files were)")
    for name, (file, count) in there.items():
        facts = listed.get(name)
        if facts is None:
            found.append(f"{file} is not listed in {path.name}")
            continue
        for what, value in (("examples", count), ("bytes", file.stat().st_size)):
            if facts.get(what, value) != value:
                found.append(f"{file} has {value} {what}, {path.name} says {facts[what]}")
                break
        else:
            if checksums and facts.get("sha256") != sha256(file):
                found.append(f"{file} has another checksum than {path.name} says")
    return found
