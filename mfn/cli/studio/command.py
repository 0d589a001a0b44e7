"""`mfn studio`: open the page, and delete everything when it ends."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mfn.cli.main import PROGRAM
from mfn.cli.options import add_network
from mfn.cli.studio.limits import Limits
from retarget.io.command_line import EXIT_DONE, CommandParser, number_in, whole_number

FIRST_PORT = 7860
_LOOPBACK = "127.0.0.1"
_START_S = 60.0  # a busy machine may need so long until the server answers
_FOLDER = "mfn-studio-"
_DESCRIPTION = (
    "Open a page in the browser: photos, clips, the webcam and characters. Only this machine can open it unless --host says otherwise. "
    "Uploads and results are deleted when a user closes the page, and all of them when the command ends. Ctrl-C ends it."
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn studio` and return the exit code."""
    options = parse(verb, arguments)
    if find_spec("gradio") is None:
        raise ImportError('the page needs Gradio: pip install ".[studio]"')
    if bool(options.certificate) != bool(options.key):
        raise ValueError("--certificate and --key: give both or none")
    for file in filter(None, (options.certificate, options.key)):
        if not Path(file).is_file():
            raise FileNotFoundError(f"{file}: no such file")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    with Studio(options) as studio:
        print(studio.message(), flush=True)
        with suppress(KeyboardInterrupt):  # the usual end
            ended.wait()
    return EXIT_DONE


def parse(verb: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line."""
    options: argparse.Namespace = _parser(verb).parse_args(arguments)
    return options


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    text = "address to listen on; 0.0.0.0 lets everybody in your network use the page (default: %(default)s, this machine only)"
    parser.add_argument("--host", default=_LOOPBACK, metavar="ADDRESS", help=text)
    text = f"port to listen on (default: the first free one from {FIRST_PORT} on)"
    parser.add_argument("--port", type=whole_number(1, 65535), default=None, metavar="N", help=text)
    parser.add_argument("--open", action="store_true", help="open the page in your browser")
    text = "certificate for https, a .pem file; phones need https for the tab Live"
    parser.add_argument("--certificate", default=None, metavar="FILE", help=text)
    parser.add_argument("--key", default=None, metavar="FILE", help="private key of the certificate, a .pem file")
    limits = Limits()
    for name, kind, metavar, text in (
        ("max-mb", number_in(0, 2048, above=True), "MB", "largest upload"),
        ("max-megapixels", number_in(0, 268, above=True), "N", "largest photo or frame of a clip"),
        ("max-seconds", number_in(0, 36000, above=True), "S", "longest clip, or part of a clip"),
        ("max-files", whole_number(1), "N", "files of one user at a time: a photo, a clip and characters"),
        ("max-users", whole_number(1), "N", "people who use the page at a time"),
    ):
        default = getattr(limits, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=f"{text} (default: {default:g})")
    add_network(parser)
    return parser


@dataclass
class Studio:
    """A running page. Use it in a `with` statement, which ends the server and deletes all files at its end.

    Gradio reads the environment when it is imported: its folder for uploads, and that it must not report anything.
    """

    options: argparse.Namespace
    folder: Path = field(init=False)
    url: str = field(init=False, default="")
    _page: Any = field(init=False, default=None)
    sessions: Any = field(init=False, default=None)

    def __enter__(self) -> Studio:
        delete_leftovers()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-")).resolve()
        direct = ",".join(filter(None, [os.environ.get("NO_PROXY"), _LOOPBACK, "localhost"]))  # Gradio asks its own server at the start
        settings = {"GRADIO_TEMP_DIR": str(self.folder), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        os.environ |= settings | {"NO_PROXY": direct, "no_proxy": direct}
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        from mfn.cli.studio.models import Models
        from mfn.cli.studio.sessions import Sessions

        options = self.options
        limits = Limits(
            max_mb=options.max_mb, max_megapixels=options.max_megapixels, max_seconds=options.max_seconds,
            max_files=options.max_files, max_users=options.max_users,
        )  # fmt: skip
        port = free_port(options.host, options.port)
        self.sessions, models = Sessions(self.folder / "sessions", limits), Models(options)
        models.get(models.default)  # a wrong --weights ends the command here, before Gradio is imported
        from mfn.cli.studio.page import build_page

        self._page = build_page(self.sessions, models)
        self._page.queue(max_size=4 * limits.max_users)
        host = _LOOPBACK if options.host == "0.0.0.0" else options.host
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if options.certificate else 'http'}://{name}:{port}/"
        self._launch(port, limits)
        wait_until_open(host, port)

    def _launch(self, port: int, limits: Limits) -> None:
        from gradio.exceptions import ServerFailedToStartError
        from starlette.middleware import Middleware

        from mfn.cli.studio.gate import Gate
        from mfn.cli.studio.page import look

        options = self.options
        settings = dict(
            server_name=options.host, server_port=port, prevent_thread_lock=True, quiet=True, inbrowser=options.open, share=False,
            ssl_certfile=options.certificate, ssl_keyfile=options.key, ssl_verify=False, max_file_size=limits.max_bytes, footer_links=[],
            run_history=False, enable_monitoring=False, mcp_server=False, ssr_mode=False, pwa=False, state_session_capacity=1000,
            app_kwargs={"middleware": [Middleware(Gate, sessions=self.sessions)]},
            _frontend=False,  # without it, Gradio stops where the server needs more than 3 s for its first answer
            **look(),
        )  # fmt: skip
        try:
            self._page.launch(**settings)
        except ServerFailedToStartError:
            raise OSError(f"the server did not start on port {port} within 5 s; is the machine busy? Try again") from None

    def message(self) -> str:
        """Return what to tell the user who started the page."""
        lines = [f"mfn studio: open {self.url} in a browser; Ctrl-C ends it and deletes the files"]
        if self.options.host != _LOOPBACK:
            address = self.url.replace(_LOOPBACK, own_address())
            lines.append(f"everybody in your network can use it, without a password: {address}")
        return "\n".join(lines)

    def __exit__(self, *error: object) -> None:
        if self._page is not None:
            self._page.close(verbose=False)
        if self.sessions is not None:
            self.sessions.close_all()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_until_open(host: str, port: int) -> None:
    """Wait until a port answers.

    Raises:
        OSError: It does not answer in time.
    """
    end_s = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection((host, port), timeout=_START_S).close()
            return
        except OSError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.1)


def own_address() -> str:
    """Return the address of this machine in its network. Nothing is sent: a UDP socket only chooses the way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation, which no machine has
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def free_port(host: str, port: int | None) -> int:
    """Return the port to listen on.

    Args:
        host: The address.
        port: The port that is wanted. None: the first free one from `FIRST_PORT` on.

    Raises:
        OSError: The port is in use, or the address is not one of this machine.
    """
    for number in [port] if port is not None else range(FIRST_PORT, FIRST_PORT + 100):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, number))
                return number
            except OSError as error:
                reason = error.strerror or str(error)
    raise OSError(f"{host}, port {number}: {reason[:1].lower()}{reason[1:]}; choose another with --host or --port")


def delete_leftovers() -> None:
    """Delete the folders of pages whose process was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        number = folder.name[len(_FOLDER) :].partition("-")[0]
        if number.isdigit() and not Path(f"/proc/{number}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
