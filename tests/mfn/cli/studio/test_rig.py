"""The tab Rig without a browser: which of several answers the page shows."""

import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

gr = pytest.importorskip("gradio")

from mfn.cli.studio import rig as tab  # noqa: E402
from mfn.cli.studio.limits import Limits  # noqa: E402
from mfn.cli.studio.sessions import Session, Sessions  # noqa: E402
from retarget.arkit import ARKIT_NAMES  # noqa: E402
from retarget.gltf.document import write_glb  # noqa: E402
from tests.helpers.characters import make_face  # noqa: E402

CONTROLS = ["rig-yaw", "rig-pitch", *(f"rig-{name}" for name in ARKIT_NAMES)]
USER = SimpleNamespace(session_hash="somebody")


@pytest.fixture
def rig_tab(tmp_path):
    return tab.RigTab(Sessions(tmp_path / "sessions", Limits()))


@contextmanager
def opening(rig_tab, monkeypatch, owner, step: str):
    """Open the tab, which draws our robot, and hold this request in one of its steps until the `with` block ends. Yields its answers."""
    waiting, go_on, work, answers = threading.Event(), threading.Event(), getattr(owner, step), []

    def held(*given):
        if threading.current_thread() is request:
            waiting.set()
            assert go_on.wait(60)
        return work(*given)

    monkeypatch.setattr(owner, step, held)
    request = threading.Thread(target=lambda: answers.append(rig_tab.on_choice("robot", USER)))
    request.start()
    assert waiting.wait(60)
    yield answers
    go_on.set()
    request.join()


@pytest.mark.parametrize(("owner", "step"), [(tab, "preview"), (Session, "rig")], ids=["drawing", "loading"])
def test_a_slow_answer_does_not_replace_a_newer_one(rig_tab, tmp_path, monkeypatch, owner, step):
    """Who drops a character while our robot is drawn or loaded must see theirs, also where the robot is ready last."""
    write_glb(make_face(), tmp_path / "mine.glb")
    with opening(rig_tab, monkeypatch, owner, step) as answers:
        shown = rig_tab.on_upload({"path": str(tmp_path / "mine.glb")}, USER)
    assert shown[1].value == "mine.glb" and "mine.glb" in shown[2] and ["jawOpen", "skin.jawOpen"] in shown[4]
    assert answers == [[gr.skip()] * (4 + len(ARKIT_NAMES) + 2)]


def test_a_choice_that_nothing_follows_is_shown(rig_tab):
    shown = rig_tab.on_choice("robot", USER)
    assert "robot" in shown[0] and len(shown[2]) == len(ARKIT_NAMES)


def test_a_bad_file_changes_nothing(rig_tab, tmp_path, monkeypatch):
    (tmp_path / "bad.glb").write_bytes(b"no character")
    with opening(rig_tab, monkeypatch, tab, "preview") as answers, pytest.raises(ValueError, match=r"bad\.glb"):
        rig_tab.on_upload({"path": str(tmp_path / "bad.glb")}, USER)
    assert "robot" in answers[0][0]


def test_a_slider_moves_only_the_character_that_is_shown(rig_tab):
    class ById(dict):
        """What Gradio gives: the values by control. Controls are hashable, these are not."""

        def items(self):
            return [(SimpleNamespace(elem_id=key), value) for key, value in super().items()]

    def move(name: str):
        return rig_tab.on_move(ById({"rig-name": name} | dict.fromkeys(CONTROLS, 0.5)), USER)

    rig_tab.on_choice("lion", USER)
    assert move("robot") == gr.skip(), "a request that waited since before the choice"
    assert move("lion").endswith(".jpg")
