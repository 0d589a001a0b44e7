import os
import signal
import threading

import pytest

from mfn.cli.terminal import GracefulInterrupt, Progress


class Terminal:
    """A stand-in for stderr that is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        return True


def test_stages_and_bars_appear_and_disappear(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress() as progress:
        progress.stage("loading")
        assert terminal.text == "loading ..."
        show = progress.bar("frames")
        for done in range(1, 4):
            show(done, 3)
        assert "3/3" in terminal.text or "frames" in terminal.text
        progress.stage("writing x.glb")
        assert terminal.text.endswith("writing x.glb ...")
    assert terminal.text.endswith("\r\x1b[K")


def test_nothing_is_shown_where_nobody_watches(monkeypatch, capsys):
    with Progress() as progress:
        progress.stage("loading")
        progress.bar("frames")(1, 2)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress(quiet=True) as progress:
        progress.stage("loading")
        progress.bar("frames")(1, 2)
    assert terminal.text == "" and capsys.readouterr() == ("", "")


def test_ctrl_c_is_a_request_that_is_taken_once():
    before = signal.getsignal(signal.SIGINT)
    with GracefulInterrupt() as interrupt:
        assert not interrupt.take_request()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.take_request() and not interrupt.take_request()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_may_use_it():
    results = []

    def work() -> None:
        with GracefulInterrupt() as interrupt:
            results.append(interrupt.take_request())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [False]
