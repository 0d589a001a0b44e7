"""Progress on stderr: shown on a terminal only."""

from __future__ import annotations

import sys

from retarget.io.progress import Progress


def pretend_terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_nothing_is_shown_without_a_terminal(capsys):
    with Progress() as progress:
        progress.stage("reading")
        progress.bar("frames")(1, 2)
    assert capsys.readouterr().err == ""


def test_quiet_shows_nothing_on_a_terminal(monkeypatch, capsys):
    pretend_terminal(monkeypatch)
    with Progress(quiet=True) as progress:
        progress.stage("reading")
        progress.bar("frames")(1, 2)
    assert capsys.readouterr().err == ""


def test_stage_and_bar_on_a_terminal(monkeypatch, capsys):
    pretend_terminal(monkeypatch)
    with Progress() as progress:
        progress.stage("reading")
        show = progress.bar("frames")
        show(1, 2)
        show(2, 2)
    err = capsys.readouterr().err
    assert err.startswith("reading ...") and "frames" in err


def test_the_status_line_is_removed_at_the_end(monkeypatch, capsys):
    pretend_terminal(monkeypatch)
    with Progress() as progress:
        progress.stage("writing")
    assert capsys.readouterr().err == "writing ...\r\x1b[K"


def test_a_note_stays_and_needs_no_terminal(monkeypatch, capsys):
    with Progress() as progress:
        progress.note("a.glb: odd")
    with Progress(quiet=True) as progress:
        progress.note("a.glb: odd")
    assert capsys.readouterr().err == "note: a.glb: odd\n"
    pretend_terminal(monkeypatch)
    with Progress() as progress:
        progress.stage("reading")
        progress.note("a.glb: odd")
    assert capsys.readouterr().err == "reading ...\r\x1b[Knote: a.glb: odd\n"
