"""Serves the page from this machine, and keeps it to this machine."""

import contextlib
import errno
import functools
import ipaddress
import os
import pathlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from dpig_tf2.detection.detector import PoseDetector
from dpig_tf2.errors import DpigError
from dpig_tf2.execution import Execution
from dpig_tf2.page.studio import Studio
from dpig_tf2.sampling.sampler import PersonSampler

_HERE = "127.0.0.1"
# What a browser may load: nothing from elsewhere, whatever a library would like to.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


def serve(
    run_dir: str,
    execution: Execution | None = None,
    checkpoint: str = "latest",
    pose_model: str | None = None,
    host: str = _HERE,
    port: int = 7860,
    say: Callable[[str], None] = print,
) -> None:
    """Loads the networks and serves the page until it is interrupted.

    Args:
        run_dir: run folder, or `preset:NAME`.
        execution, checkpoint: as `PersonSampler.load` takes them.
        pose_model: as `PoseDetector.load` takes it; without a model the page says so where a photo
            is added.
        host, port: where to serve.
        say: told what is being done, a line each.

    Raises:
        DpigError: if the port is taken.
    """
    _require_free(host, port)
    sampler = PersonSampler.load(run_dir, execution, checkpoint=checkpoint)
    try:
        detector = PoseDetector.load(pose_model)
    except DpigError as error:
        if pose_model is not None:
            raise
        say(f"note: persons in photos cannot be found: {error}")
        detector = None
    with server(Studio(sampler, run_dir, checkpoint), detector, host, port) as running:
        shown = "localhost" if host == _HERE else f"[{host}]" if ":" in host else host
        say(f"the page is at http://{shown}:{port} (Ctrl-C ends it)")
        running.join()


@contextlib.contextmanager
def server(
    studio: Studio, detector: PoseDetector | None, host: str = _HERE, port: int = 7860
) -> Iterator[threading.Thread]:
    """The page being served in a thread, until the context is left.

    Uploads and downloads lie in a new temporary folder, which is then removed.
    """
    with tempfile.TemporaryDirectory(prefix="dpig-page-", ignore_cleanup_errors=True) as folder:
        _stay_local(folder)
        import uvicorn

        from dpig_tf2.page.app import Page

        page = Page(studio, detector, pathlib.Path(folder))
        options = uvicorn.Config(
            _application(page, host), host, port, log_level="critical", interface="asgi3"
        )
        running = uvicorn.Server(options)
        thread = threading.Thread(target=running.run, daemon=True)
        stopping = threading.Event()
        warming = threading.Thread(
            target=lambda: any(stopping.is_set() for _ in page.warm_up()), daemon=True
        )
        thread.start()
        try:
            while not running.started:
                thread.join(0.05)
                if not thread.is_alive():
                    raise DpigError(f"cannot serve at {host}:{port}", field="port")
            warming.start()
            yield thread
        finally:
            stopping.set()
            if warming.ident is not None:  # TensorFlow at work would abort an ending process
                warming.join()
            running.should_exit = True
            running.force_exit = True
            thread.join(10)


def _stay_local(folder):
    """Sets what Gradio reads when it is imported: nothing is reported or fetched."""
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": folder,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "OTEL_SDK_DISABLED": "true",
    }


def _application(page, host):
    import fastapi
    import gradio as gr
    import safehttpx

    from dpig_tf2.page.app import mount_options

    # Else Gradio fetches whatever address a visitor names, for `file=` and as an upload.
    safehttpx.get = safehttpx.async_validate_url = _fetch_nothing
    application = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    blocks = page.blocks()
    # Else Gradio reads whatever file of this machine a visitor names: only `launch` sets it.
    blocks.has_launched = True
    application = gr.mount_gradio_app(application, blocks, "/", **mount_options())
    return functools.partial(_answer, application, _is_here(host))


async def _fetch_nothing(*_, **__):
    raise ValueError("addresses are not fetched")


async def _answer(application, only_here, scope, receive, send):
    """ASGI: the application's answer, with the policy; none to a request under a strange name."""

    async def send_with_policy(event):
        if event["type"] == "http.response.start":
            policy = (b"content-security-policy", _POLICY.encode())
            event = event | {"headers": [*event.get("headers", ()), policy]}
        await send(event)

    if scope["type"] == "http" and only_here:
        # A page of another site may send its visitors here under its own name.
        if not _is_here(_name(dict(scope["headers"]).get(b"host", b"").decode("latin-1"))):
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"This page is for this machine."})
            return
    await application(scope, receive, send_with_policy)


def _name(host):
    """The name in a Host header, whose port may be absent; empty if it cannot be told."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_here(name):
    """Whether a name is one by which only this machine calls itself."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _require_free(host, port):
    try:
        # The first of a name's addresses says whether it is of IPv4 or IPv6.
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        flag = "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"
        raise DpigError(
            f"cannot serve at {host}:{port}: {error.strerror}; name another --{flag}", field=flag
        ) from error
