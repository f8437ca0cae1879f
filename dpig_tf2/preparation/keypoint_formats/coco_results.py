"""Results lists for COCO: detections with the number of the image, its name in another file.

The name comes from the annotation file, if that lies in the same folder and the folder was given;
from `file_name`, where the results have it; or the number is the one in the photo's name.
"""

from collections.abc import Iterator

from dpig_tf2.preparation.keypoint_formats import coco, openpose
from dpig_tf2.preparation.keypoint_formats.layouts import LEAST_SCORE, triples
from dpig_tf2.preparation.keypoint_formats.model import Entry, Source, member, shown

NAME = "coco_results"
EXPECTED = "a list of dictionaries with image_id and keypoints"
COUNTS = (17, 26, 133, 136)


def recognizes(content: object) -> bool:
    return is_results(content, int)


def is_results(content: object, kind: type) -> bool:
    """Whether it is a results list whose first usable entry has an image_id of that kind."""
    if not isinstance(content, list):
        return False
    first = next((e for e in content if isinstance(e, dict) and "image_id" in e), {})
    return isinstance(first.get("image_id"), kind) and "keypoints" in first


def read(source: Source) -> Iterator[Entry]:
    yield from by_image(source, _name)


def by_image(source: Source, name_of) -> Iterator[Entry]:
    """An entry for each image of a results list; `name_of` may return None and report why."""
    path = str(source.path)
    found: dict[str, list] = {}
    sizes, others = {}, 0
    for i, result in enumerate(source.content):
        if not isinstance(result, dict) or "image_id" not in result:
            source.problems.append(f"{path}: result {i}: expected a dictionary with image_id")
            continue
        if result.get("category_id", coco.PERSON) != coco.PERSON:
            others += 1
            continue
        named = name_of(source, result)
        if named:
            name, sizes[name] = named
            found.setdefault(name, []).append(result)
    if others:
        source.problems.append(f"{path}: {others} results of other categories are ignored")
    for name, results in found.items():
        people = source.people(results, _person, f"{path}: {shown(name)}", "result")
        yield Entry(name, people, path, size=sizes[name])


def _name(source, result):
    number = result["image_id"]
    if isinstance(number, int | str) and number in source.images:
        return source.images[number]
    if isinstance(result.get("file_name"), str):
        return result["file_name"], None
    if isinstance(number, int) and not source.images:
        name = source.photo_of_number(number)
        if name:
            return name, None
    source.problems.append(
        f"{source.path}: image_id {shown(number)}: no image of that number; give the folder that "
        "also holds the annotation file"
    )
    return None


def _person(result):
    points = triples(member(result, "keypoints", list))
    return openpose.scored(points, COUNTS, LEAST_SCORE)
