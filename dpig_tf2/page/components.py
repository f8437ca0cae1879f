"""Parts of the page that Gradio lacks: pictures to choose from and to show, skeletons to drag."""

import base64
import html
import io
import pathlib
from collections.abc import Sequence

import gradio as gr
import numpy as np
from PIL import Image

from dpig_tf2.config import ModelConfig
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES, MIRRORED
from dpig_tf2.page.cast import DECIMALS
from dpig_tf2.page.results import Picture
from dpig_tf2.visual.skeletons import BONES

_STATIC = pathlib.Path(__file__).parent / "static"
CSS = (_STATIC / "page.css").read_text(encoding="utf-8")
_SHOWN_HEIGHT = 384  # pixels; pictures of the model's size are enlarged to about this

_PICKER = """
<fieldset class="picker" style="--ratio: ${ratio}">
  <legend>${title}</legend>
  <div class="strip">
    {{#each options}}
    <label>
      <input type="radio" name="{{../group}}" value="{{@index}}">
      <img src="{{this.src}}" alt=""><span>{{this.label}}</span>
    </label>
    {{/each}}
  </div>
</fieldset>
"""
_SKELETON = """
<div class="skeleton" role="group" aria-label="${title}">
  <svg class="board" role="group" aria-label="${title}: 18 points"></svg>
  <p class="status" aria-live="polite"></p>
  <div class="tools">
    <button type="button" data-do="hide">Hide point</button>
    <button type="button" data-do="mirror">Mirror</button>
  </div>
</div>
"""
_FLIPBOOK = """
<figure class="flipbook">
  <img alt="">
  <figcaption aria-live="off"></figcaption>
  <div class="tools">
    <button type="button">Play</button>
    <input type="range" min="0" step="1" aria-label="Frame">
  </div>
</figure>
"""


def picker(title: str, options: Sequence[Picture], value: int | None, name: str) -> gr.HTML:
    """Radio buttons with pictures; the value is the number of the chosen one, or None."""
    height, width, _ = options[0].image.shape
    return _component(
        "picker",
        _PICKER,
        value,
        name,
        options=picker_options(options),
        title=title,
        group=name,
        ratio=f"{width}/{height}",
    )


def skeleton_editor(title: str, value: dict, name: str) -> gr.HTML:
    """A pose whose points can be dragged and hidden; the value is what `skeleton_value` gives."""
    return _component(
        "skeleton",
        _SKELETON,
        value,
        name,
        title=title,
        names=list(KEYPOINT_NAMES),
        bones=[list(bone) for bone in BONES],
        mirrored=list(MIRRORED),
    )


def flipbook(name: str) -> gr.HTML:
    """Frames to slide through; the value is what `flipbook_value` gives, or None."""
    return _component("flipbook", _FLIPBOOK, None, name)


def said_of_photo(photo: str, name: str) -> gr.HTML:
    """What is said of the photo that is given at the element of that name."""
    several = message("Add one photo at a time: none of these was taken.", "error")
    return _component(
        "photo", "${value}", "", name, photo=photo, several=several, elem_classes="said"
    )


def picker_options(pictures: Sequence[Picture]) -> list[dict]:
    """The options of a `picker`."""
    return [{"src": address(p.image, 1), "label": p.caption} for p in pictures]


def skeleton_value(
    pose: np.ndarray, model: ModelConfig, background: np.ndarray | None = None
) -> dict:
    """The value of a `skeleton_editor`: a pose float32 [18, 3], perhaps over a picture."""
    return {
        "points": np.round(pose, DECIMALS).tolist(),
        "height": model.height,
        "width": model.width,
        "background": None if background is None else address(background),
    }


def flipbook_value(pictures: Sequence[Picture]) -> dict:
    """The value of a `flipbook`."""
    return {
        "frames": [address(p.image) for p in pictures],
        "captions": [p.caption for p in pictures],
    }


def figures(pictures: Sequence[Picture], columns: int = 4) -> str:
    """Pictures with captions as HTML, at most so many in a row."""
    shown = "".join(
        f'<figure><img src="{address(p.image)}" alt="{html.escape(p.caption)}">'
        f"<figcaption>{html.escape(p.caption)}</figcaption></figure>"
        for p in pictures
    )
    return f'<div class="figures" style="--columns: {columns}">{shown}</div>'


def table(scores: dict[str, dict[str, float]]) -> str:
    """Shares {row: {column: share}} as an HTML table, the darker the larger."""
    columns = list(next(iter(scores.values())))
    head = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in columns)
    rows = ""
    for name, values in scores.items():
        cells = "".join(
            f'<td style="--share: {min(1, abs(value)):.2f}">{round(value, 2) + 0:.2f}</td>'
            for value in values.values()
        )
        rows += f"<tr><th scope='row'>{html.escape(name)} exchanged</th>{cells}</tr>"
    return (
        "<table class='moved'><caption>Share of each factor's true change that is in the pictures: "
        "1 on the diagonal and 0 elsewhere would be perfect.</caption>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def message(text: str, kind: str = "note") -> str:
    """A line for the reader as HTML; kind "error" is read out at once."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="message {kind}" role="{role}">{html.escape(text)}</p>' if text else ""


def address(image: np.ndarray, scale: int | None = None) -> str:
    """A picture uint8 [H, W, 3] as a data address, enlarged smoothly for people."""
    scale = scale or max(1, _SHOWN_HEIGHT // image.shape[0])
    picture = Image.fromarray(image)
    picture = picture.resize(
        (picture.width * scale, picture.height * scale), Image.Resampling.BICUBIC
    )
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=92)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


def _component(script, template, value, name, **props):
    # Not a class of its own: for those Gradio writes files beside their modules.
    code = (_STATIC / f"{script}.js").read_text(encoding="utf-8")
    return gr.HTML(value, html_template=template, js_on_load=code, elem_id=name, **props)
