"""The tab Rig without a browser: which of several answers the page shows."""

import threading
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


def test_a_slow_answer_does_not_replace_a_newer_one(rig_tab, tmp_path, monkeypatch):
    """Opening the tab draws our robot. Who drops a character meanwhile must see theirs, also where the robot is ready last."""
    drawing, uploaded, draw = threading.Event(), threading.Event(), tab.preview

    def slow_robot(rig, *given):
        if "mine" not in str(rig.glb.path):
            drawing.set()
            assert uploaded.wait(60)
        return draw(rig, *given)

    monkeypatch.setattr(tab, "preview", slow_robot)
    answers = []
    opened = threading.Thread(target=lambda: answers.append(rig_tab.on_choice("robot", USER)))
    opened.start()
    assert drawing.wait(60)
    mine = tmp_path / "mine.glb"
    write_glb(make_face(), mine)
    shown = rig_tab.on_upload({"path": str(mine)}, USER)
    uploaded.set()
    opened.join()
    assert shown[1].value == "mine.glb" and "mine.glb" in shown[2] and ["jawOpen", "skin.jawOpen"] in shown[4]
    assert answers[0] == [gr.skip()] * len(answers[0]) and len(answers[0]) == 4 + len(ARKIT_NAMES) + 2


def test_a_character_that_loads_slowly_does_not_replace_a_newer_one(rig_tab, tmp_path, monkeypatch):
    loading, uploaded, load = threading.Event(), threading.Event(), Session.rig

    def slow(session, name):
        loading.set()
        assert uploaded.wait(60)
        return load(session, name)

    monkeypatch.setattr(Session, "rig", slow)
    answers = []
    opened = threading.Thread(target=lambda: answers.append(rig_tab.on_choice("robot", USER)))
    opened.start()
    assert loading.wait(60)
    mine = tmp_path / "mine.glb"
    write_glb(make_face(), mine)
    rig_tab.on_upload({"path": str(mine)}, USER)
    uploaded.set()
    opened.join()
    assert answers[0] == [gr.skip()] * len(answers[0])


def test_a_choice_that_nothing_follows_is_shown(rig_tab):
    shown = rig_tab.on_choice("robot", USER)
    assert "robot" in shown[0] and len(shown[2]) == len(ARKIT_NAMES)


def test_a_bad_file_changes_nothing(rig_tab, tmp_path, monkeypatch):
    drawing, refused, draw = threading.Event(), threading.Event(), tab.preview

    def slow(*given):
        drawing.set()
        assert refused.wait(60)
        return draw(*given)

    monkeypatch.setattr(tab, "preview", slow)
    answers = []
    opened = threading.Thread(target=lambda: answers.append(rig_tab.on_choice("robot", USER)))
    opened.start()
    assert drawing.wait(60)
    (tmp_path / "bad.glb").write_bytes(b"no character")
    with pytest.raises(ValueError, match=r"bad\.glb"):
        rig_tab.on_upload({"path": str(tmp_path / "bad.glb")}, USER)
    refused.set()
    opened.join()
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
