"""The page in a real browser, which must reach nothing but this machine."""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import socket
import threading
import types
import urllib.error
import urllib.request
import zipfile
from concurrent import futures

import numpy as np
import pytest
from PIL import Image

from dpig_tf2.errors import DpigError
from dpig_tf2.page.studio import Studio
from dpig_tf2.sampling.sampler import PersonSampler

pytest.importorskip("gradio", reason="Gradio is absent: pip install -e '.[page]'")
httpx = pytest.importorskip("httpx")

pytestmark = pytest.mark.slow  # starts a browser

_SECONDS = 120_000  # milliseconds until a picture must be there, on a machine that is busy


@pytest.fixture(scope="module")
def address(studio, detector):
    """Where the page is served."""
    from dpig_tf2.page.serving import server

    port = _free_port()
    with server(studio, detector, port=port):
        yield f"http://localhost:{port}"


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(browser, address, request):
    """The page, opened; every address that it asked for must be of this machine."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height})
    opened = context.new_page()
    opened.set_default_timeout(_SECONDS)
    asked, faults = [], []
    opened.on("request", lambda each: asked.append(each.url))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda each: each.type == "error" and faults.append(each.text))
    opened.goto(address)
    opened.wait_for_selector("#repose-pictures img")
    yield opened
    local = (address, address.replace("localhost", "127.0.0.1"), "data:", "blob:")
    assert asked and not [url for url in asked if not url.startswith(local)]
    assert not faults
    # Nothing sticks out to the right, where a phone does not show it.
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def _open(page, tab):
    """Shows a tab, which may be in the menu of a narrow page."""
    button = page.get_by_role("tab", name=tab, exact=True)
    if not button.count() or not button.first.is_visible():
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown").get_by_text(tab, exact=True).click()
    else:
        button.first.click()


def _picture(page, selector):
    page.wait_for_selector(selector)
    return page.locator(selector).first.get_attribute("src")


def _changed(page, selector, before):
    """The picture there, when it is another one."""
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector)?.src !== before",
        arg=[selector, before],
    )
    return _picture(page, selector)


def _download(page, name, tmp_path):
    with page.expect_download() as download:
        page.click(f"#{name}-download")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def _photo(path, seed=0):
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(1, 256, (300, 200, 3), np.uint8)).save(path)
    return path


def _points(page, editor):
    """{name of a point: (x, y) of its middle on the screen}."""
    groups = page.locator(f"#{editor} [data-point]")
    boxes = [groups.nth(k).locator(".dot").bounding_box() for k in range(groups.count())]
    labels = [groups.nth(k).get_attribute("aria-label") for k in range(groups.count())]
    return {
        label.partition(",")[0]: (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for label, box in zip(labels, boxes, strict=True)
    }


def test_repose(page, tmp_path):
    result = "#repose-pictures img"
    first = _picture(page, result)
    # Another pose of the gallery, by its radio button.
    page.locator("#repose-pose input").nth(4).check(force=True)
    second = _changed(page, result, first)
    # A point dragged with the mouse.
    page.locator("#target-pose .board").scroll_into_view_if_needed()
    x, y = _points(page, "target-pose")["left wrist"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 25, y - 40, steps=4)
    page.mouse.up()
    moved = _points(page, "target-pose")["left wrist"]
    assert moved == pytest.approx((x + 25, y - 40), abs=3)
    third = _changed(page, result, second)
    # The same point moved and hidden with the keyboard, whose only stops are the points.
    assert not page.evaluate(
        "() => { const board = document.querySelector('#target-pose .board'); board.focus();"
        " return document.activeElement === board; }"
    )
    page.locator("#target-pose [data-point='7']").focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert _points(page, "target-pose")["left wrist"][0] < moved[0] - 1
    page.keyboard.press("h")
    label = page.locator("#target-pose [data-point='7']").get_attribute("aria-label")
    assert label == "left wrist, hidden"
    _changed(page, result, third)

    path = _download(page, "repose", tmp_path)
    with zipfile.ZipFile(path) as file:
        made = json.loads(file.read("made.json"))
        assert made["command"].startswith("dpig transfer ")
        assert {"picture_01.png", "codes.npz", "person.png", "target.csv"} <= set(file.namelist())


def test_a_photo_is_added_everywhere_and_put_back(page, tmp_path):
    result = "#repose-pictures img"
    before = _picture(page, result)
    page.locator("#photo input[type=file]").set_input_files(_photo(tmp_path / "me.png"))
    page.wait_for_selector("#photo-message .message")
    assert "Photo 1 was added" in page.inner_text("#photo-message")
    assert page.locator("#repose-person label").count() == 9
    _changed(page, result, before)
    page.wait_for_function("document.querySelectorAll('#repose-pictures img').length === 2")
    # There is room for another one at once.
    page.locator("#photo input[type=file]").set_input_files(_photo(tmp_path / "too.png", 2))
    page.wait_for_selector("#repose-person label:nth-child(10)")
    # The pose of a photo.
    shown = _points(page, "target-pose")
    page.locator("#pose-photo input[type=file]").set_input_files(_photo(tmp_path / "you.png", 1))
    page.wait_for_function(
        "document.querySelector('#pose-photo-message').innerText.includes('pose of the photo')"
    )
    assert _points(page, "target-pose") != shown
    assert not page.locator("#repose-pose input:checked").count()
    _open(page, "Mix")
    page.wait_for_selector("#mix-donor-1 label:nth-child(10)")


def test_a_pose_can_be_chosen_again(page):
    board = page.locator("#target-pose .board")
    is_drawn = "points => document.querySelector('#target-pose .board').innerHTML === points"
    first = board.inner_html()
    for tool, stays in (("#target-pose [data-do=mirror]", 1), ("#invent-pose", 0)):
        page.click(tool)
        page.wait_for_function(f"points => !({is_drawn})(points)", arg=first)
        page.wait_for_function(
            "n => document.querySelectorAll('#repose-pose input:checked').length === n", arg=stays
        )
        page.locator("#repose-pose label").first.click()
        page.wait_for_function(is_drawn, arg=first)


def test_a_pose_that_was_changed_and_left_can_be_chosen_again(page):
    first = page.locator("#target-pose .board").inner_html()
    is_drawn = "points => document.querySelector('#target-pose .board').innerHTML === points"
    for _ in range(2):
        page.click("#target-pose [data-do=mirror]")
    for number, wait in ((1, f"points => !({is_drawn})(points)"), (0, is_drawn)):
        page.locator("#repose-pose label").nth(number).click()
        page.wait_for_function(wait, arg=first)


def test_the_chosen_person_is_seen(page):
    _open(page, "Disentangle")
    page.locator("#disentangle-second").scroll_into_view_if_needed()
    page.wait_for_function(
        """() => {
          const strip = document.querySelector('#disentangle-second .strip');
          const chosen = strip.querySelector('input:checked').closest('label');
          const [one, all] = [chosen, strip].map((each) => each.getBoundingClientRect());
          return one.left >= all.left && one.right <= all.right;
        }"""
    )
    # And the whole table, where a phone has room for it.
    page.wait_for_selector("#disentangle-table td")
    right = page.locator("#disentangle-table").bounding_box()
    cell = page.locator("#disentangle-table tr:last-child td:last-child").bounding_box()
    assert cell["x"] + cell["width"] <= right["x"] + right["width"]


def test_the_last_choice_is_drawn(page, studio, monkeypatch):
    waiting, repose = threading.Event(), studio.repose

    def slow(*choices):
        waiting.wait(60)
        return repose(*choices)

    monkeypatch.setattr(studio, "repose", slow)
    persons = page.locator("#repose-person label")
    persons.nth(1).click()
    page.wait_for_selector("#repose-pictures .pending")
    for number in (2, 3):
        persons.nth(number).click()
    waiting.set()
    page.wait_for_function(
        "document.querySelector('#repose-pictures').innerText.includes('Person 4')"
    )


def test_several_photos_at_once_are_refused(page, tmp_path):
    drop = """names => {
      const event = new DragEvent('drop', {bubbles: true, cancelable: true,
                                           dataTransfer: new DataTransfer()});
      for (const name of names)
        event.dataTransfer.items.add(new File(['x'], name, {type: 'image/png'}));
      document.querySelector(names.length ? '#photo button' : 'h1').dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    assert page.evaluate(drop, ["a.png", "b.png"])
    page.wait_for_selector("#photo-message [role=alert]")
    assert "one photo at a time" in page.inner_text("#photo-message")
    assert page.evaluate(drop, []), "a browser would open the photo instead of the page"


def test_the_table_has_room(browser, address):
    page = browser.new_page(viewport={"width": 820, "height": 1180})
    page.set_default_timeout(_SECONDS)
    page.goto(address)
    page.wait_for_selector("#repose-pictures img")
    _open(page, "Disentangle")
    page.wait_for_selector("#disentangle-table td")
    table = page.locator("#disentangle-table table").bounding_box()
    around = page.locator("#disentangle-table").bounding_box()
    assert table["x"] + table["width"] <= around["x"] + around["width"]
    page.close()


def _nobody(path):
    Image.new("RGB", (200, 300)).save(path)


def _tiny(path):
    Image.new("RGB", (9, 9)).save(path)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_nobody, "No person was found"),
        (_tiny, "too small"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\nnothing"), "cannot be used as a photo"),
    ],
)
def test_bad_photos_get_a_sentence(page, tmp_path, make, sentence):
    make(tmp_path / "bad.png")
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "bad.png")
    page.wait_for_selector("#photo-message [role=alert]")
    text = page.inner_text("#photo-message")
    assert sentence in text and "Traceback" not in text
    assert page.locator("#repose-person label").count() == 8
    # All goes on as if nothing had happened, in tabs that were not open yet too.
    page.locator("#photo input[type=file]").set_input_files(_photo(tmp_path / "good.png"))
    page.wait_for_selector("#photo-message [role=alert]", state="detached")
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "bad.png")
    page.wait_for_selector("#photo-message [role=alert]")
    _open(page, "Mix")
    page.wait_for_selector("#mix-base label:nth-child(9)")


def _contrast(element):
    """Of an element's text and what is behind it, as WCAG 2 defines it."""
    colors = element.evaluate(
        """element => {
          const text = getComputedStyle(element).color;
          while (getComputedStyle(element).backgroundColor.endsWith(', 0)'))
            element = element.parentElement;
          return [text, getComputedStyle(element).backgroundColor];
        }"""
    )
    luminances = []
    for color in colors:
        levels = np.array(re.findall(r"[\d.]+", color)[:3], float) / 255
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        luminances.append(linear @ [0.2126, 0.7152, 0.0722] + 0.05)
    return max(luminances) / min(luminances)


def test_new_persons(page, tmp_path):
    _open(page, "New persons")
    result = "#new-pictures img"
    first = _picture(page, result)
    assert page.locator(result).count() == 8
    for chosen in ("#new-pose label.selected", "button[role=tab][aria-selected=true]"):
        assert _contrast(page.locator(chosen).first) > 4.5
    page.click("#another-seed")
    second = _changed(page, result, first)
    page.locator("#new-background").get_by_text("Kept").click()
    page.locator("#new-foreground").get_by_text("Kept").click()
    page.locator("#new-person input").nth(2).check(force=True)
    page.click("#run-new")
    _changed(page, result, second)
    page.locator("#new-pose").get_by_text("Kept").click()
    page.click("#run-new")
    page.wait_for_selector("#new-message [role=alert]")
    assert "at least one factor" in page.inner_text("#new-message")
    page.locator("#new-pose").get_by_text("New").click()
    page.get_by_label("Seed", exact=True).fill("-1")
    page.click("#run-new")
    page.wait_for_function(
        "document.querySelector('#new-message').innerText.includes('seed must be')"
    )
    with zipfile.ZipFile(_download(page, "new", tmp_path)) as file:
        assert json.loads(file.read("made.json"))["command"].startswith("dpig sample ")


def test_mix(page, tmp_path):
    _open(page, "Mix")
    result = "#mix-pictures img"
    first = _picture(page, result)
    assert page.locator("#mix-donor-1").bounding_box()["width"] >= 260
    page.locator("#mix-donor-1 input").nth(6).check(force=True)
    page.click("#run-mix")
    _changed(page, result, first)
    path = _download(page, "mix", tmp_path)
    # Opened again, it is drawn from its codes.
    page.get_by_text("Open a downloaded result").click()
    page.locator("#result-file input[type=file]").set_input_files(path)
    page.wait_for_selector("#opened-pictures img")
    page.locator("#result-file button[aria-label='Clear']").first.click()
    (tmp_path / "other.zip").write_bytes(b"nothing")
    page.locator("#result-file input[type=file]").set_input_files(tmp_path / "other.zip")
    page.wait_for_selector("#opened-message [role=alert]")
    assert "no result of this page" in page.inner_text("#opened-message")


def test_interpolate(page, tmp_path):
    _open(page, "Interpolate")
    frame = "#frames img"
    first = _picture(page, frame)
    slider = page.locator("#frames input[type=range]")
    slider.focus()
    page.keyboard.press("End")
    assert _changed(page, frame, first)
    assert page.inner_text("#frames figcaption") == "Frame 9 of 9"
    path = _download(page, "interpolate", tmp_path)
    with zipfile.ZipFile(path) as file:
        assert "animation.webp" in file.namelist()
    page.get_by_text("Open a downloaded result").click()
    page.locator("#result-file input[type=file]").set_input_files(path)
    page.wait_for_selector("#opened-pictures img")
    assert page.locator("#opened-pictures img").count() == 9


def test_disentangle(page, tmp_path):
    _open(page, "Disentangle")
    result = "#disentangle-pictures img"
    first = _picture(page, result)
    assert page.locator(result).count() == 9
    assert page.locator("#disentangle-table tbody tr").count() == 3
    page.locator("#disentangle-first input").nth(3).check(force=True)
    page.click("#run-disentangle")
    _changed(page, result, first)
    assert _download(page, "disentangle", tmp_path).stat().st_size > 1000
    page.locator("#disentangle-second input").nth(3).check(force=True)
    page.click("#run-disentangle")
    page.wait_for_selector("#disentangle-message [role=alert]")
    assert "two different persons" in page.inner_text("#disentangle-message")


def test_pages_of_others_get_nothing(address):
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    _assert_refused(address)


def _assert_refused(address):
    disguised = urllib.request.Request(address, headers={"Host": "example.org"})  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(disguised, timeout=60)  # noqa: S310
    assert caught.value.code == 403


def _added(address, path):
    """What the server answers to a photo of that path: whether it was taken, and the answer."""
    config = httpx.get(f"{address}/config", timeout=60).json()
    (photo,) = (c["id"] for c in config["components"] if c["props"].get("elem_id") == "photo")
    (event,) = (d for d in config["dependencies"] if [photo, "upload"] in d["targets"])
    file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    request = {"data": [file, None], "fn_index": event["id"], "session_hash": "stranger"}
    api = f"{address}/gradio_api/queue"
    httpx.post(f"{api}/join", json=request, timeout=60).raise_for_status()
    with httpx.stream("GET", f"{api}/data?session_hash=stranger", timeout=60) as answer:
        for line in answer.iter_lines():
            if '"process_completed"' in line:
                return json.loads(line.removeprefix("data: "))["success"], line
    raise AssertionError("no answer")


def test_a_file_that_was_not_uploaded_is_not_read(address, tmp_path):
    path = _photo(tmp_path / "private.png")
    taken, answer = _added(address, path)
    assert not taken and "was added" not in answer
    cached = pathlib.Path(os.environ["GRADIO_TEMP_DIR"]).rglob("private.png")
    assert not list(cached), "no copy is made, which could be asked for"
    files = {"files": (path.name, path.read_bytes())}
    answer = httpx.post(f"{address}/gradio_api/upload", files=files, timeout=60)
    (uploaded,) = answer.json()
    taken, answer = _added(address, uploaded)
    assert taken and "Photo 1 was added" in answer


def test_no_address_is_fetched(address, monkeypatch):
    looked_up = []
    look_up = asyncio.BaseEventLoop.getaddrinfo

    async def noted(loop, host, *others, **options):
        looked_up.append(host)
        return await look_up(loop, "localhost", *others, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", noted)
    strange = "http://photos.example/a.png"
    assert not _added(address, strange)[0]
    answer = httpx.get(f"{address}/gradio_api/file={strange}", timeout=60)
    assert answer.status_code == 403
    assert "photos.example" not in looked_up


def test_a_path_outside_of_the_folder_of_uploads_is_refused(studio, detector, tmp_path):
    from dpig_tf2.page.app import Page

    (tmp_path / "page").mkdir()
    page = Page(studio, detector, tmp_path / "page")
    mine = _photo(tmp_path / "page" / "a.png")
    assert page._found({"path": str(mine)}, "Me").label == "Me"
    (tmp_path / "page" / "link.png").symlink_to(_photo(tmp_path / "b.png"))
    for path in ("../b.png", "link.png"):
        with pytest.raises(DpigError, match="not uploaded here"):
            page._found({"path": str(tmp_path / "page" / path)}, "Me")


def test_a_photo_that_was_forgotten_is_told_from_none(studio, tmp_path):
    from dpig_tf2.page.app import Page

    page = Page(studio, None, tmp_path)
    gone = len(page.examples)
    for number, sentence in ((None, "Choose a person first"), (gone, "forgotten after an hour")):
        with pytest.raises(DpigError, match=sentence):
            page._member(number, [])
        page._shown_source(number, [])  # says nothing: the result does


def test_localhost_is_this_machine_too(studio, detector):
    from dpig_tf2.page.serving import server

    port = _free_port()
    with server(studio, detector, "localhost", port):
        _assert_refused(f"http://localhost:{port}")


@pytest.mark.parametrize(("host", "flag"), [("::1", "port"), ("nobody.invalid", "host")])
def test_what_another_address_could_help_is_named(host, flag):
    from dpig_tf2.page import serving

    with contextlib.ExitStack() as stack:
        port = 7860
        if host == "::1":
            taken = stack.enter_context(socket.socket(socket.AF_INET6))
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind((host, 0))
            except OSError:
                pytest.skip("this machine has no IPv6")
            port = taken.getsockname()[1]
            serving._require_free(host, port)
            taken.listen()
        with pytest.raises(DpigError, match=f"name another --{flag}"):
            serving._require_free(host, port)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),  # browsers leave out port 80
        ("127.0.0.1", 200),
        ("LOCALHOST:7860", 200),
        ("[::1]:7860", 200),
        ("example.org", 403),
        ("localhost.example.org:7860", 403),
        ("[", 403),
        ("", 403),
    ],
)
def test_names_of_this_machine_have_any_port_or_none(host, status):
    from dpig_tf2.page import serving

    answers = []

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def send(event):
        answers.append(event)

    scope = {"type": "http", "headers": [(b"host", host.encode())]}
    answering = serving._answer(application, True, scope, None, send)
    with futures.ThreadPoolExecutor(1) as pool:  # Playwright keeps a loop in this thread
        pool.submit(asyncio.run, answering).result()
    assert answers[0]["status"] == status


def test_commands_name_what_the_page_was_started_with(sampler, members, monkeypatch):
    from dpig_tf2.page import serving

    served = []

    @contextlib.contextmanager
    def server(studio, *_):
        served.append(studio)
        yield types.SimpleNamespace(join=lambda: None)

    monkeypatch.setattr(serving, "server", server)
    monkeypatch.setattr(PersonSampler, "load", lambda *_, **__: sampler)
    serving.serve("preset:mine", checkpoint="best", port=_free_port(), say=lambda _: None)
    command = served[0].disentangle(*members[:2]).command
    assert command == "dpig draw --run_dir=preset:mine --checkpoint=best --codes=codes.npz"


def test_warming_up_leaves_out_what_was_not_trained(sampler, tmp_path):
    from dpig_tf2.page.app import Page

    networks = sampler.model.networks
    first = {name: n for name, n in networks.items() if not name.endswith("mapping")}
    at_work = Studio(PersonSampler(sampler.config, first), "runs/stage-i")
    page = Page(at_work, None, tmp_path)
    with pytest.raises(DpigError, match="no trained foreground_mapping"):
        at_work.new_persons(page.model.factors, 8, 0)
    assert len(list(page.warm_up())) == 3


def test_a_download_that_another_visitor_removes_is_no_error(studio, members, tmp_path):
    from dpig_tf2.page.app import Page

    (tmp_path / "download-old").symlink_to(tmp_path / "gone")
    page = Page(studio, None, tmp_path)
    with zipfile.ZipFile(page._file(studio.disentangle(*members[:2]))) as file:
        assert "made.json" in file.namelist()


def test_uploads_are_gone_with_the_server(studio, detector):
    from dpig_tf2.page import serving

    with serving.server(studio, detector, port=_free_port()):
        folder = os.environ["GRADIO_TEMP_DIR"]
        assert os.path.isdir(folder)
    assert not os.path.exists(folder)


def test_a_page_that_cannot_be_made_leaves_no_folder(studio, monkeypatch):
    from dpig_tf2.page import serving

    monkeypatch.setattr(serving, "_application", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), serving.server(studio, None, port=_free_port()):
        pass
    assert not os.path.exists(os.environ["GRADIO_TEMP_DIR"])
