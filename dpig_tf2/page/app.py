"""The page: Gradio around `studio`. What happens on it is decided there."""

import contextlib
import dataclasses
import functools
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr
from gradio import themes

from dpig_tf2.detection.detector import PoseDetector
from dpig_tf2.errors import DpigError
from dpig_tf2.page import cast, components, results
from dpig_tf2.page.cast import Member
from dpig_tf2.page.results import Picture, Result
from dpig_tf2.page.studio import FACTOR_NAMES, MAX_COUNT, MAX_STEPS, PARTS, Studio
from dpig_tf2.visual.skeletons import pose_picture

_HEAD = """
# Disentangled persons
Bring a person into another pose, invent new persons, or exchange what a picture of a person is made
of: **looks** (the foreground), **background** and **pose**.
"""
_FOOT = """
Everything is computed on the machine that serves this page, and nothing is sent elsewhere. Photos
that you add are kept in memory, and like downloads in a temporary folder that is emptied every
quarter of an hour and when the page ends: make a result once more to download it later. The example
persons are drawn by a program; nobody looks like them.
"""
_NO_MODEL = (
    "Persons in photos are found by a model that is not on this machine: run `dpig download "
    "pose_model` once (and `pip install 'dpig-tf2[pose]'`), then start the page again."
)
_MOST_COLUMNS = 9  # of pictures, so that each can be seen
_SECONDS_KEPT = 900  # of uploads and downloads
_NEW, _KEPT = "new", "kept"


class Page:
    """The page around trained networks.

    Args:
        studio: what the tabs do.
        detector: finds persons in photos; None says that there is no model for it.
        folder: for uploads and downloads, emptied by who made it.
    """

    def __init__(self, studio: Studio, detector: PoseDetector | None, folder: pathlib.Path):
        self.folder = folder
        self.studio, self.model, self.detector = studio, studio.model, detector
        self.examples = cast.synthetic_members(self.model)
        self.poses = cast.gallery_poses(self.model)

    def warm_up(self) -> Iterator[None]:
        """Does the work of every tab once, so that no visitor waits for tracing."""
        first, second = self.examples[:2]
        for work in (
            lambda: self.studio.repose(first, self.poses[0]),
            lambda: self.studio.new_persons(self.model.factors, 8, 0),
            lambda: self.studio.interpolate(first, second, self.model.factors),
        ):
            with contextlib.suppress(DpigError):  # visitors are told what cannot be done
                work()
            yield

    def blocks(self) -> gr.Blocks:
        """The page, to be launched."""
        with gr.Blocks(
            title="Disentangled persons",
            analytics_enabled=False,
            delete_cache=(_SECONDS_KEPT // 3, _SECONDS_KEPT),
        ) as blocks:
            gr.Markdown(_HEAD, elem_classes="head")
            # Persons on photos of this visitor; the examples are the same for everybody.
            self.own = gr.State([], time_to_live=4 * _SECONDS_KEPT)
            self.pickers: list[gr.HTML] = []
            with gr.Tabs():
                for title, fill in (
                    ("Re-pose", self._repose_tab),
                    ("New persons", self._new_tab),
                    ("Mix", self._mix_tab),
                    ("Interpolate", self._interpolate_tab),
                    ("Disentangle", self._disentangle_tab),
                ):
                    # All are there from the beginning: a tab that is not would miss new photos.
                    with gr.Tab(title, render_children=True) as tab:
                        run, inputs, outputs = fill()
                    command = outputs[2]
                    first = blocks.load if title == "Re-pose" else tab.select
                    _on(first, _unless_done(run, len(outputs)), [command, *inputs], outputs)
            with gr.Accordion("Open a downloaded result", open=False):
                self._open_again()
            gr.Markdown(_FOOT, elem_classes="foot")
            self._wire_upload()
        return blocks

    # ---- tabs

    def _repose_tab(self):
        start, pose = self.examples[0], self.poses[0]
        with gr.Row(equal_height=False):
            with gr.Column(min_width=280):
                _step("1. Person", "Choose an example, or add a photo of your own below.")
                self.source = self._picker("Persons", "repose-person", 0)
                self.source_pose = components.skeleton_editor(
                    "Found pose; drag what is wrong",
                    components.skeleton_value(start.keypoints, self.model, start.image),
                    "source-pose",
                )
                self.upload, self.upload_said = _photo_input("Add a photo of your own", "photo")
            with gr.Column(min_width=280):
                _step("2. Pose", "Choose one, let the network invent one, or drag the points.")
                options = [
                    Picture(f"Pose {n}", pose_picture(p, self.model.height, self.model.width))
                    for n, p in enumerate(self.poses, 1)
                ]
                gallery = components.picker("Poses", options, 0, "repose-pose")
                self.target_pose = components.skeleton_editor(
                    "Wanted pose", components.skeleton_value(pose, self.model), "target-pose"
                )
                another = gr.Button("Invent a pose", size="sm", elem_id="invent-pose")
                seed = gr.State(1)
                like, like_said = _photo_input("Take the pose of a photo", "pose-photo")
            with gr.Column(min_width=280):
                _step("3. Result", "Made anew with every change.")
                button = gr.Button("Re-pose", variant="primary", elem_id="run-repose")
                outputs = _result_panel("repose")
        run = functools.partial(self._do, self._repose)
        inputs = [self.source, self.source_pose, self.target_pose, self.own]
        # What was drawn, not what was asked for, starts the work: so that it sees the new pose.
        for event in (button.click, self.source_pose.input, self.target_pose.input):
            _on(event, run, inputs, outputs)
        self.repose_run, self.repose_inputs, self.repose_outputs = run, inputs, outputs
        for listener, choose, given, shown in (
            (self.source.input, self._shown_source, [self.source, self.own], self.source_pose),
            (gallery.input, self._gallery_pose, [gallery], self.target_pose),
        ):
            _then(_on(listener, choose, given, [shown]), run, inputs, outputs)
        wanted = [gallery, self.target_pose]
        invented = _on(another.click, self._invented, [seed], [outputs[0], *wanted, seed])
        self._then_repose(invented, outputs[0])
        taken = _on(
            like.upload, self._pose_of, [like], [like_said, *wanted, like], preprocess=False
        )
        self._then_repose(taken, like_said)
        return run, inputs, outputs

    def _new_tab(self):
        factors = self.model.factors
        with gr.Row(equal_height=False):
            with gr.Column(min_width=280):
                _step("What is new?", "The rest is kept from the person below.")
                choices = [
                    gr.Radio(
                        [("New", _NEW), ("Kept", _KEPT)],
                        value=_NEW,
                        label=FACTOR_NAMES[factor],
                        elem_id=f"new-{factor}",
                    )
                    for factor in factors
                ]
                person = self._picker("Kept from", "new-person", 0)
                count = gr.Slider(1, MAX_COUNT, 8, step=1, label="How many")
                truncation = gr.Slider(
                    0.2, 1, 1, step=0.05, label="Variety", info="Less stays nearer to the average."
                )
                with gr.Row():
                    seed = _seed_input("Seed", 1)
                    another = gr.Button("Another seed", elem_id="another-seed", min_width=90)
                button = gr.Button("Make persons", variant="primary", elem_id="run-new")
            with gr.Column(scale=2, min_width=300):
                outputs = _result_panel("new")
        run = functools.partial(self._do, self._new_persons)
        inputs = [*choices, person, count, truncation, seed, self.own]
        _on(button.click, run, inputs, outputs)
        next_seed = _on(another.click, lambda seed: int(seed or 0) + 1, [seed], [seed])
        _then(next_seed, run, inputs, outputs)
        return run, inputs, outputs

    def _mix_tab(self):
        parts = [(part.replace("_", " "), part) for part in PARTS]
        donors = []
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                base = self._picker("Person", "mix-base", 0)
                for number, default in ((1, ["upper_garment"]), (2, ["lower_garment"]), (3, [])):
                    with gr.Row(equal_height=False):
                        with gr.Column(min_width=260):
                            donor = self._picker(f"Donor {number}", f"mix-donor-{number}", number)
                        taken = gr.Dropdown(
                            parts,
                            value=default,
                            multiselect=True,
                            label=f"Taken from donor {number}",
                            min_width=200,
                        )
                    donors.append((donor, taken))
                place = gr.Dropdown(
                    [("Their own", 0), ("Of donor 1", 1), ("Of donor 2", 2), ("Of donor 3", 3)],
                    value=0,
                    label="Background",
                    visible=self.model.has_background,
                )
            with gr.Column(min_width=280):
                button = gr.Button("Mix", variant="primary", elem_id="run-mix")
                outputs = _result_panel("mix")
        run = functools.partial(self._do, self._mix)
        inputs = [base, *sum(donors, ()), place, self.own]
        _on(button.click, run, inputs, outputs)
        return run, inputs, outputs

    def _interpolate_tab(self):
        factors = [(FACTOR_NAMES[factor], factor) for factor in self.model.factors]
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                kind = gr.Radio(
                    [("Between persons", "persons"), ("Between invented persons", "seeds")],
                    value="persons",
                    label="Way",
                )
                with gr.Column(min_width=200) as persons:
                    start = self._picker("From", "interpolate-from", 0)
                    end = self._picker("To", "interpolate-to", 4)
                with gr.Row(visible=False) as seeds:
                    first = _seed_input("From seed", 1)
                    last = _seed_input("To seed", 2)
                changing = gr.CheckboxGroup(
                    factors, value=list(self.model.factors), label="What changes on the way"
                )
                steps = gr.Slider(2, MAX_STEPS, 9, step=1, label="Frames")
                button = gr.Button("Interpolate", variant="primary", elem_id="run-interpolate")
            with gr.Column(min_width=280):
                flipbook = components.flipbook("frames")
                outputs = _result_panel("interpolate")
        kind.change(
            lambda kind: (
                gr.update(visible=kind == "persons"),
                gr.update(visible=kind != "persons"),
            ),
            kind,
            [persons, seeds],
            api_visibility="private",
        )

        def run(*choices, progress=gr.Progress()):  # noqa: B008 Gradio finds it there
            made = []

            def interpolate(*choices):
                made.append(self._interpolate(*choices, progress=progress))
                return made[0]

            said, _, *others = self._do(interpolate, *choices)
            shown = components.flipbook_value(made[0].pictures) if made else gr.skip()
            return (said, "", *others, shown)

        inputs = [kind, start, end, first, last, changing, steps, self.own]
        _on(button.click, run, inputs, [*outputs, flipbook])
        return run, inputs, [*outputs, flipbook]

    def _disentangle_tab(self):
        with gr.Row(equal_height=False):
            with gr.Column(min_width=280):
                first = self._picker("First person", "disentangle-first", 0)
                second = self._picker("Second person", "disentangle-second", 5)
                button = gr.Button("Exchange", variant="primary", elem_id="run-disentangle")
                table = gr.HTML("", elem_id="disentangle-table")
            with gr.Column(min_width=300):
                outputs = _result_panel("disentangle")

        def run(first, second, own):
            texts = self._do(self._disentangle, first, second, own)
            return (*texts, self._table(first, second, own))

        inputs = [first, second, self.own]
        _on(button.click, run, inputs, [*outputs, table])
        return run, inputs, [*outputs, table]

    def _open_again(self):
        file = gr.File(
            label="A .zip that was downloaded here", file_types=[".zip"], elem_id="result-file"
        )
        outputs = _result_panel("opened")
        run = functools.partial(
            self._do,
            lambda file: results.restore(
                self._path(file), self.studio.sampler, self.studio.fingerprint
            ),
        )
        _on(file.upload, run, [file], outputs, preprocess=False)

    # ---- what the events do

    def _repose(self, source, source_pose, target_pose, own) -> Result:
        member = self._member(source, own)
        points = cast.moved_pose(_points(source_pose), self.model)
        person = dataclasses.replace(member, keypoints=points)
        return self.studio.repose(person, cast.moved_pose(_points(target_pose), self.model))

    def _new_persons(self, *choices) -> Result:
        *kinds, person, count, truncation, seed, own = choices
        factors = [f for f, kind in zip(self.model.factors, kinds, strict=True) if kind == _NEW]
        held = self._member(person, own) if len(factors) < len(kinds) else None
        return self.studio.new_persons(factors, count, seed, held, truncation)

    def _mix(self, base, *choices) -> Result:
        *donors, place, own = choices
        members = [self._member(donor, own) for donor in donors[::2]]
        taken = [(m, parts) for m, parts in zip(members, donors[1::2], strict=True) if parts]
        background = members[place - 1] if place else None
        return self.studio.mix(self._member(base, own), taken, background)

    def _interpolate(self, kind, start, end, first, last, factors, steps, own, progress) -> Result:
        ends = (
            (self._member(start, own), self._member(end, own))
            if kind == "persons"
            else (first, last)
        )
        return self.studio.interpolate(
            *ends, factors, steps, lambda done, total: progress((done, total), unit="frames")
        )

    def _disentangle(self, first, second, own) -> Result:
        return self.studio.disentangle(*self._two(first, second, own))

    def _table(self, first, second, own):
        try:
            scores = self.studio.moved(*self._two(first, second, own))
        except DpigError:  # the pictures beside it have said so
            return ""
        if scores is None:
            return components.message(
                "What moved can be measured for two example persons only: of "
                "them there are true pictures."
            )
        return components.table(scores)

    def _member(self, number, own) -> Member:
        members = [*self.examples, *own]
        if number is None or int(number) < 0:
            raise DpigError("Choose a person first.", field="person")
        if int(number) >= len(members):
            raise DpigError("This photo was forgotten after an hour: add it again.", field="person")
        return members[int(number)]

    def _two(self, first, second, own) -> tuple[Member, Member]:
        if first == second:
            raise DpigError("Choose two different persons.", field="person")
        return self._member(first, own), self._member(second, own)

    def _shown_source(self, number, own):
        try:
            member = self._member(number, own)
        except DpigError:  # the result that follows says so
            return gr.skip()
        return components.skeleton_value(member.keypoints, self.model, member.image)

    def _gallery_pose(self, number):
        return components.skeleton_value(self.poses[int(number)], self.model)

    def _invented(self, seed):
        """An invented pose: message, no choice of the gallery, pose, next seed."""
        try:
            pose = self.studio.sampled_pose(int(seed))
        except DpigError as error:
            return components.message(_sentence(error), "error"), *[gr.skip()] * 3
        return "", gr.update(value=None), components.skeleton_value(pose, self.model), int(seed) + 1

    def _pose_of(self, file):
        """The pose of a photo: message, no choice of the gallery, pose, room for another photo."""
        try:
            member = self._found(file, "")
        except DpigError as error:
            return components.message(str(error), "error"), gr.skip(), gr.skip(), None
        value = components.skeleton_value(member.keypoints, self.model)
        said = components.message("The pose of the photo was found.")
        return said, gr.update(value=None), value, None

    def _found(self, file, label) -> Member:
        if self.detector is None:
            raise DpigError(_NO_MODEL)
        return cast.member_on_photo(self._path(file), label, self.model, self.detector)

    def _added(self, file, own):
        """A person of a photo more, chosen for re-posing: message, persons, pickers, pose, room."""
        try:
            member = self._found(file, f"Photo {len(own) + 1}")
        except DpigError as error:
            said = components.message(str(error), "error")
            return (said, own, *self._choices(own), gr.skip(), None)
        own = [*own, member]
        pickers = self._choices(own, len(self.examples) + len(own) - 1)
        said = components.message(f"{member.label} was added: it can be chosen in every tab.")
        pose = components.skeleton_value(member.keypoints, self.model, member.image)
        return (said, own, *pickers, pose, None)

    def _choices(self, own, source=None):
        """What changes of the pickers: who can be chosen, and who is chosen for re-posing."""
        options = components.picker_options(self._pictures(own))
        # All properties, also if none changes: a tab that was not open yet would lose the others.
        changes: list[dict[str, Any]] = [
            {**each.props, "options": options} for each in self.pickers
        ]
        if source is not None:
            changes[self.pickers.index(self.source)]["value"] = source
        return [gr.update(**change) for change in changes]

    def _wire_upload(self):
        added = _on(
            self.upload.upload,
            self._added,
            [self.upload, self.own],
            [self.upload_said, self.own, *self.pickers, self.source_pose, self.upload],
            preprocess=False,
        )
        self._then_repose(added, self.upload_said)

    def _then_repose(self, event, message):
        """Re-poses after an event, but not after one whose message is an error."""
        outputs = self.repose_outputs

        def run(said, *inputs):
            failed = "alert" in (said or "")
            return [gr.skip()] * len(outputs) if failed else self.repose_run(*inputs)

        _then(event, run, [message, *self.repose_inputs], outputs)

    def _do(self, work: Callable[..., Result], *choices):
        """What a result panel shows of a piece of work: message, pictures, command, download."""
        try:
            result = work(*choices)
        except DpigError as error:
            return components.message(_sentence(error), "error"), *[gr.skip()] * 3
        pictures = list(result.pictures)
        if result.pasted is not None:
            pictures.append(Picture("In the photo", result.pasted))
        columns = min(result.columns, len(pictures), _MOST_COLUMNS)
        return (
            components.message(" ".join(result.notes)),
            components.figures(pictures, columns),
            result.command,
            gr.update(value=self._file(result), interactive=True),
        )

    def _file(self, result):
        """The download of a result; those of which the time is up are removed."""
        for old in self.folder.glob("download-*"):
            with contextlib.suppress(FileNotFoundError):  # removed for another visitor meanwhile
                if time.time() - old.stat().st_mtime > _SECONDS_KEPT:
                    shutil.rmtree(old, ignore_errors=True)
        folder = tempfile.mkdtemp(prefix="download-", dir=self.folder)
        path = pathlib.Path(folder, f"dpig_{result.verb}.zip")
        path.write_bytes(results.archive(result, self.studio.fingerprint))
        return str(path)

    # ---- parts

    def _path(self, file):
        """Path of an uploaded file, as events give it that leave decoding to us."""
        path = file.get("path") if isinstance(file, dict) else file
        if not path:
            raise DpigError("Choose a file first.", field="file")
        if not pathlib.Path(path).resolve().is_relative_to(self.folder.resolve()):
            raise DpigError("This file was not uploaded here.", field="file")
        return path

    def _picker(self, title: str, group: str, value: int) -> gr.HTML:
        picker = components.picker(title, self._pictures([]), value, group)
        self.pickers.append(picker)
        return picker

    def _pictures(self, own: Sequence[Member]) -> list[Picture]:
        return [Picture(member.label, member.image) for member in (*self.examples, *own)]


def mount_options() -> dict:
    """Arguments of `gr.mount_gradio_app` that keep the page as it is meant to be."""
    return {
        "show_error": False,
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "max_file_size": cast.MAX_UPLOAD,
        "css": components.CSS,
        "theme": themes.Soft(
            primary_hue="teal",
            neutral_hue="slate",
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ).set(
            body_text_color_subdued="*neutral_600",
            body_text_color_subdued_dark="*neutral_300",
            block_title_background_fill="transparent",
            block_title_background_fill_dark="transparent",
            block_title_text_color="*body_text_color",
            block_title_text_color_dark="*body_text_color",
            block_title_padding="0",
            block_label_background_fill="transparent",
            block_label_background_fill_dark="transparent",
            block_label_text_color="*body_text_color",
            block_label_text_color_dark="*body_text_color",
            button_primary_background_fill="*primary_700",
            button_primary_background_fill_hover="*primary_800",
            button_primary_background_fill_dark="*primary_700",
            button_primary_text_color="white",
            button_border_width="1px",
            button_primary_border_color="*primary_700",
            # White text, and text on white, need darker colors than the accent of Soft.
            color_accent="*primary_700",
            checkbox_label_background_fill_selected="*primary_700",
            checkbox_label_background_fill_selected_dark="*primary_800",
            block_border_width="1px",
            block_shadow="none",
            button_secondary_border_color="*neutral_300",
        ),
    }


def _result_panel(name):
    """Message, pictures, command and download of a tab, in this order."""
    said = gr.HTML("", elem_id=f"{name}-message", elem_classes="said")
    pictures = gr.HTML("", elem_id=f"{name}-pictures", elem_classes="result")
    download = gr.DownloadButton(
        "Download pictures and codes", interactive=False, size="sm", elem_id=f"{name}-download"
    )
    with gr.Accordion("The command that makes this again", open=False):
        command = gr.Code(
            label="Run beside the unpacked download", language="shell", interactive=False,
            elem_id=f"{name}-command",
        )  # fmt: skip
    return [said, pictures, command, download]


def _unless_done(run, count):
    """Work that shows an example where nothing is shown yet; the first input is the command."""

    def first(command, *choices):
        return [gr.skip()] * count if command else run(*choices)

    return first


def _photo_input(label, name):
    """Where a photo is given, and under it what is said about the photo."""
    photo = gr.Image(
        label=label,
        show_label=False,
        placeholder=f"{label}: drop it here, paste it, or click",
        type="filepath",
        sources=["upload", "clipboard", "webcam"],
        height=140,
        elem_id=name,
        elem_classes="photo",
    )
    return photo, components.said_of_photo(name, f"{name}-message")


def _seed_input(label, value):
    """A seed; `studio` says which there are, in the place where its other errors are said."""
    return gr.Number(value, label=label, precision=0, min_width=90)


def _step(title, text):
    gr.Markdown(f"## {title}\n{text}", elem_classes="step")


def _on(event, work, inputs, outputs, **options):
    """Work at an event. What comes while it is done is not lost: it is done once more after it."""
    return event(
        work, inputs, outputs, trigger_mode="always_last", api_visibility="private", **options
    )


def _then(event, work, inputs, outputs):
    return _on(event.then, work, inputs, outputs)


def _points(value):
    return value.get("points") if isinstance(value, dict) else None


def _sentence(error):
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
