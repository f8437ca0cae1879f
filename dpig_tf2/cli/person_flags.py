"""Flags that name persons and poses: records, photos, keypoint files.

Each group stands beside those of `flag_groups`.
"""

import functools
import pathlib

from absl import flags

from dpig_tf2 import config as configuration
from dpig_tf2.cli.flag_groups import exclusive, needs
from dpig_tf2.cli.program import FlagError, say
from dpig_tf2.errors import DpigError

# As keypoint_formats.FORMATS, keypoint_formats.UNITS and photos.RESIZE_MODES have them.
KEYPOINT_FORMATS = (
    *("csv", "pickle", "joint2d", "text", "pose_editor", "openpose", "coco", "mmpose"),
    *("coco_results", "alphapose", "mediapipe", "labelme"),
)
KEYPOINT_UNITS = ("pixels", "normalized")
RESIZE_MODES = ("none", "stretch", "letterbox", "crop")


class RecordFlags:
    """A record split: --data_dir, --split, --skip_bad_records.

    Args:
        flag_values: the flags of the verb.
        required: whether the verb does nothing without records.
        split: default of --split.
        skippable: False where records are not read, only what lies beside them.
    """

    def __init__(
        self,
        flag_values: flags.FlagValues,
        required: bool = False,
        split: str = "test",
        skippable: bool = True,
    ):
        self.data_dir = flags.DEFINE_string(
            "data_dir",
            None,
            "Folder with tf-records.",
            required=required,
            flag_values=flag_values,
        )
        self.split = flags.DEFINE_string(
            "split",
            split,
            "Which record files of --data_dir: the split in their names.",
            flag_values=flag_values,
        )
        self.holders = (self.data_dir, self.split)
        if skippable:
            self.skip_bad_records = flags.DEFINE_bool(
                "skip_bad_records",
                False,
                "Leave damaged records out and count them, instead of stopping at the first.",
                flag_values=flag_values,
            )
            self.holders += (self.skip_bad_records,)

    def check(self) -> None:
        for holder in self.holders[1:]:
            needs(holder, self.data_dir)

    def require(self) -> None:
        """Refuses a folder without such records, before TensorFlow is loaded."""
        from dpig_tf2.records.shards import find_shards

        if self.data_dir.present:
            find_shards(self.data_dir.value, self.split.value)


class KeypointFormatFlags:
    """What keypoint files hold: --keypoint_format, --keypoint_units."""

    def __init__(self, flag_values: flags.FlagValues):
        self.keypoint_format = flags.DEFINE_enum(
            "keypoint_format",
            "auto",
            ("auto", *KEYPOINT_FORMATS),
            "Format of keypoint files; auto finds out.",
            flag_values=flag_values,
        )
        self.units = flags.DEFINE_enum(
            "keypoint_units",
            None,
            KEYPOINT_UNITS,
            "Units of the coordinates in keypoint files; normalized ones go from 0 to 1 or from -1 "
            "to 1. By default what the format says; files where that is doubtful are refused.",
            flag_values=flag_values,
        )


class BackgroundFlag:
    """What shines through transparent pixels: --background."""

    def __init__(self, flag_values: flags.FlagValues):
        self.holder = flags.DEFINE_list(
            "background",
            ["128", "128", "128"],
            "RED,GREEN,BLUE, each from 0 to 255: what shines through transparent pixels of photos.",
            flag_values=flag_values,
        )

    def color(self) -> tuple[int, int, int]:
        """Red, green and blue."""
        values = self.holder.value
        levels = [int(text) for text in values if text.strip().isdecimal()]
        if len(values) != 3 or len(levels) != 3 or max(levels) > 255:
            raise FlagError(
                f"--background={','.join(values)}: expected RED,GREEN,BLUE from 0 to 255",
                field="background",
            )
        return levels[0], levels[1], levels[2]


class KeypointReadingFlags(KeypointFormatFlags):
    """How keypoints and images are read: also --resize, --background."""

    def __init__(self, flag_values: flags.FlagValues, resize: str = "letterbox"):
        super().__init__(flag_values)
        self.resize = flags.DEFINE_enum(
            "resize",
            resize,
            RESIZE_MODES,
            "How images of another size are brought to the wanted one, and their keypoints along: "
            "letterbox keeps the proportions and adds margins, crop keeps them and cuts off what "
            "is too wide or too high, none refuses them.",
            flag_values=flag_values,
        )
        self._background = BackgroundFlag(flag_values)

    @property
    def decisive(self) -> tuple[flags.FlagHolder, ...]:
        return self.keypoint_format, self.units, self.resize, self._background.holder

    def background(self) -> tuple[int, int, int]:
        """The color of --background."""
        return self._background.color()


def define_pose_model(flag_values: flags.FlagValues) -> flags.FlagHolder:
    return flags.DEFINE_string(
        "pose_model",
        None,
        "Model that finds poses: a .task bundle, or the folder of its two .tflite files. By "
        "default what DPIG_POSE_MODEL names, else what `dpig download pose_model` keeps.",
        flag_values=flag_values,
    )


def define_persons(flag_values: flags.FlagValues) -> flags.FlagHolder:
    return flags.DEFINE_enum(
        "persons",
        "one",
        ["one", "all"],
        "Who of several persons on a photo: the largest and most central one (of a keypoint file "
        "the most certain one), or all of them.",
        flag_values=flag_values,
    )


class PersonFlags:
    """Persons from records, or from photos with or without keypoints.

    Args:
        flag_values: the flags of the verb.
        limit: persons at most unless --limit says otherwise; None: all.
        required: whether the verb does nothing without persons.
        paste_back: whether pictures can be put back into the photos.
        body_mask: whether the verb draws by the persons' body masks.
    """

    def __init__(
        self,
        flag_values: flags.FlagValues,
        limit: int | None = None,
        required: bool = True,
        paste_back: bool = False,
        body_mask: bool = True,
    ):
        self._required = required
        self.records = RecordFlags(flag_values)
        self.image = flags.DEFINE_string(
            "image", None, "One photo of any size.", flag_values=flag_values
        )
        self.images = flags.DEFINE_string(
            "images", None, "Folder of photos, also in folders below it.", flag_values=flag_values
        )
        self.keypoints = flags.DEFINE_string(
            "keypoints",
            None,
            "File or folder with the keypoints of --image or --images, in pixels of the photos. "
            "Without it the persons are found in the photos, and their keypoints are written to "
            "keypoints.csv beside the pictures, to be corrected by hand and given back.",
            flag_values=flag_values,
        )
        self.reading = KeypointReadingFlags(flag_values)
        self.pose_model = define_pose_model(flag_values)
        self.persons = define_persons(flag_values)
        self.crop = flags.DEFINE_enum(
            "crop",
            "none",
            ["none", "person"],
            "What of a photo is taken: all of it, brought to the model's size by --resize, or the "
            "person, cut out with the model's proportions and a margin.",
            flag_values=flag_values,
        )
        self._body_mask = None
        if body_mask:
            self._body_mask = flags.DEFINE_enum(
                "body_mask",
                "keypoints",
                ["keypoints", "detected"],
                "What tells a person from the background: limbs drawn around the keypoints, with "
                "which networks are trained, or the outline found in the photo, which leaves less "
                "of the background to the foreground and less of the person to the background. "
                "Where the background was cut out of a picture, that outline is its opaque part.",
                flag_values=flag_values,
            )
        self._paste_back = None
        if paste_back:
            self._paste_back = flags.DEFINE_bool(
                "paste_back",
                False,
                "Also put every picture back into the photo that its person was cut from, with a "
                "soft edge, as in_photo/NAME.png; needs --crop=person.",
                flag_values=flag_values,
            )
        self.limit = define_limit(flag_values, "persons", limit)
        self._of_photos = (self.persons, self.crop, *([self._body_mask] if body_mask else []))
        self.decisive = (
            *(self.records.data_dir, self.records.split),
            *(self.image, self.images, self.keypoints, *self.reading.decisive),
            *(*self._of_photos, *([self._paste_back] if paste_back else [])),
        )

    @property
    def given(self) -> bool:
        """Whether the flags name any persons."""
        return self.from_records or self.from_photos

    @property
    def from_records(self) -> bool:
        return self.records.data_dir.present > 0

    @property
    def from_photos(self) -> bool:
        return bool(self.image.present or self.images.present)

    @property
    def paste_back(self) -> bool:
        return self._paste_back is not None and bool(self._paste_back.value)

    def check(self, finds_more: bool = False) -> None:
        """Raises FlagError for flags that do not go together.

        Args:
            finds_more: whether the verb looks for keypoints in yet another photo.
        """
        exclusive(self.records.data_dir, self.image, self.images)
        if self._required and not self.given:
            raise FlagError("--data_dir, --image or --images must be given", field="data_dir")
        for holder in (self.keypoints, *self._of_photos):
            if holder.present and not self.from_photos:
                raise FlagError(f"--{holder.name} needs --image or --images", field=holder.name)
        if self.limit.present and not self.given:
            raise FlagError("--limit needs --data_dir or --images", field="limit")
        if self.pose_model.present and not finds_more:
            exclusive(self.keypoints, self.pose_model)
            if not self.from_photos:
                raise FlagError("--pose_model needs --image or --images", field="pose_model")
        if self.paste_back and self.crop.value != "person":
            raise FlagError("--paste_back needs --crop=person", field="paste_back")
        self.reading.background()
        self.records.check()

    def reader(
        self,
        model: configuration.ModelConfig,
        batch_size: int,
        limit: int | None,
        both_sides: bool = False,
    ):
        """Reader of the persons, or None if the flags name none.

        See `sampling.record_reader` and `sampling.photo_reader`.
        """
        self.records.require()
        if not self.given:
            return None
        if self.from_records:
            from dpig_tf2.sampling.record_reader import RecordReader

            return RecordReader(
                self.records.data_dir.value,
                self.records.split.value,
                model,
                batch_size,
                limit,
                self.records.skip_bad_records.value,
                both_sides,
            )
        from dpig_tf2.preparation.photos import list_images

        skipped: list[str] = []
        if self.image.present:
            path = _existing(self.image.value, "; --images takes a folder")
            folder, names = path.parent, [path.name]
        else:
            folder = pathlib.Path(self.images.value)
            if folder.is_file():
                raise FlagError(f"{folder} is a file; --image takes one photo", field="images")
            names = list_images(folder, skipped)
        return self._file_reader(
            folder,
            names,
            self.keypoints.value,
            model,
            everyone=self.persons.value == "all",
            batch_size=batch_size,
            limit=limit,
            body_mask="keypoints" if self._body_mask is None else self._body_mask.value,
            skipped=skipped,
        )

    def photo_reader(self, image: str, keypoints: str | None, model: configuration.ModelConfig):
        """`FileReader` of one person on one photo, whose keypoints are found if None are given."""
        path = _existing(image)
        return self._file_reader(path.parent, [path.name], keypoints, model, False, batch_size=1)

    def _file_reader(self, folder, names, keypoints, model, everyone, **options):
        from dpig_tf2.sampling.photo_reader import FileReader

        if keypoints:
            from dpig_tf2.preparation.given_poses import GivenPoses

            kind, units = self.reading.keypoint_format.value, self.reading.units.value
            poses = GivenPoses(folder, names, keypoints, kind, units, everyone)
        else:
            poses = detected_poses(self.pose_model.value, everyone)
        reader = FileReader(
            folder,
            names,
            poses,
            self.reading.resize.value,
            model,
            crop=self.crop.value,
            background=self.reading.background(),
            **options,
        )
        reader.begin()  # persons are found while TensorFlow is imported
        return reader


def _existing(photo: str, way_out: str = "") -> pathlib.Path:
    """The path of a photo, refused before others have been worked on.

    Args:
        photo: path.
        way_out: what the error adds if it is a folder.
    """
    if pathlib.Path(photo).is_dir():
        raise DpigError(f"{photo} is a folder, not a photo{way_out}", file=photo)
    if not pathlib.Path(photo).is_file():
        raise DpigError(f"there is no photo {photo}", file=photo)
    return pathlib.Path(photo)


def detected_poses(pose_model: str | None, everyone: bool = False):
    """`DetectedPoses` by the model of --pose_model."""
    from dpig_tf2.detection.photo_poses import DetectedPoses

    return DetectedPoses(_detector(pose_model), everyone)


@functools.cache  # a second reader has the same
def _detector(pose_model):
    from dpig_tf2.detection.detector import PoseDetector

    return PoseDetector.load(pose_model)


def define_limit(
    flag_values: flags.FlagValues, what: str, default: int | None = None
) -> flags.FlagHolder:
    return flags.DEFINE_integer(
        "limit",
        default,
        f"How many {what} at most" + ("." if default else "; all of them by default."),
        lower_bound=1,
        flag_values=flag_values,
    )


class TargetPoseFlags:
    """Poses of a keypoint file: --target_keypoints, --target_size.

    Args:
        flag_values: the flags of the verb.
        reading: how keypoints are read.
        what: what the poses are for.
    """

    def __init__(self, flag_values: flags.FlagValues, reading: KeypointReadingFlags, what: str):
        self._reading = reading
        self.keypoints = flags.DEFINE_string(
            "target_keypoints", None, f"File or folder of keypoints: {what}.",
            flag_values=flag_values,
        )  # fmt: skip
        self._size = flags.DEFINE_string(
            "target_size",
            None,
            "ROWSxCOLUMNS, e.g. 128x64: size in pixels of the images that --target_keypoints "
            "belong to; by default the size of the model's images.",
            flag_values=flag_values,
        )
        self.decisive = (self.keypoints, self._size)

    @property
    def size_flag(self) -> flags.FlagHolder:
        return self._size

    def check(self) -> None:
        needs(self._size, self.keypoints)
        self.size()

    def size(self) -> tuple[int, int] | None:
        """(rows, columns) of the images; None: the model's."""
        text = self._size.value
        if text is None:
            return None
        rows, _, columns = text.partition("x")
        if not (rows.isdecimal() and columns.isdecimal() and int(rows) and int(columns)):
            raise FlagError(
                f"--target_size={text}: expected ROWSxCOLUMNS, e.g. 128x64", field="target_size"
            )
        return int(rows), int(columns)

    def read(self, model: configuration.ModelConfig, left_out: list[str]):
        """The poses as `Persons` without images; prints what is doubtful.

        Args:
            model: gives the image size.
            left_out: gets a line for each pose that cannot be used.
        """
        from dpig_tf2.sampling.photo_reader import read_poses

        poses, notes, unusable = read_poses(
            self.keypoints.value,
            self._reading.keypoint_format.value,
            self.size(),
            self._reading.resize.value,
            model,
            limit=None,
            units=self._reading.units.value,
        )
        for note in notes:
            say(f"note: {note}")
        left_out += unusable
        return poses
