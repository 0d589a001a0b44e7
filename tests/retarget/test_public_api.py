"""The public API of `retarget`, called as a user calls it."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import retarget
from retarget import Rig, Take, load_rig, read_take, render_scene, write_scene
from retarget.arkit import ARKIT_NAMES
from retarget.gltf.document import read_glb


@pytest.fixture
def take() -> Take:
    """Two people side by side, one meter away, who look into the camera and open their mouths."""
    coefficients = np.zeros((2, 52), np.float32)
    coefficients[:, ARKIT_NAMES.index("jawOpen")] = 0.8
    return Take(
        time_s=np.zeros(2),
        actor=np.array([0, 1], np.int32),
        coefficients=coefficients,
        rotation=np.array([[0, 0, 0, 1]] * 2, np.float32),
        translation=np.array([[-0.2, 0, -1], [0.2, 0, -1]], np.float32),
    )


def test_a_take_becomes_a_scene(take, tmp_path):
    rigs = [load_rig("robot"), load_rig("lion")]
    write_scene(take, rigs, tmp_path / "out.glb")
    document = read_glb(tmp_path / "out.glb").document
    names = [document["nodes"][node]["name"] for node in document["scenes"][0]["nodes"]]
    assert names == ["robot 0", "lion 1", "camera", "lamp", "fill"] and "animations" not in document


def test_a_path_may_be_a_string(take, face_path, tmp_path):
    write_scene(take, [load_rig(str(face_path))], str(tmp_path / "out.glb"), width=640, height=480, focal_px=600, tolerance=0.01)
    lens = read_glb(tmp_path / "out.glb").document["cameras"][0]["perspective"]
    assert lens["aspectRatio"] == pytest.approx(4 / 3) and lens["yfov"] == pytest.approx(2 * np.arctan(240 / 600))


def test_a_performance_of_another_program_is_read(tmp_path):
    (tmp_path / "a.json").write_text('[{"jawOpen": 0.5}]')
    found = read_take(tmp_path / "a.json")
    assert isinstance(found, Take) and found.coefficients[0, ARKIT_NAMES.index("jawOpen")] == 0.5


@pytest.mark.parametrize("camera", [{"width": 0}, {"height": -1}, {"focal_px": 0.0}])
def test_an_impossible_camera_is_refused(camera, take, face_path, tmp_path):
    with pytest.raises(ValueError, match="expected a picture of at least 1 x 1 px and focal_px > 0"):
        write_scene(take, [load_rig(face_path)], tmp_path / "out.glb", **camera)
    assert not (tmp_path / "out.glb").exists()


def test_a_take_becomes_an_image(take, face_path):
    rigs = [load_rig(face_path)]
    image = render_scene(take, rigs, 96, 64, 90.0)
    empty = render_scene(take[:0], rigs, 96, 64, 90.0)
    assert image.shape == (64, 96, 3) and image.dtype == np.uint8
    changed = (image != empty).any(axis=2)
    assert changed[:, :48].any() and changed[:, 48:].any(), "a person on either side"


def test_an_image_may_lie_behind(take, face_path):
    background = np.full((64, 96, 3), 7, np.uint8)
    image = render_scene(take, [load_rig(face_path)], 96, 64, 90.0, background)
    assert (image[0, 0] == 7).all() and (background == 7).all(), "the background itself is not changed"


def test_a_rig_answers(face_path):
    rig = load_rig(face_path)
    assert isinstance(rig, Rig) and rig.name == "face"
    assert repr(rig).startswith("Rig('face', 11 of 52 coefficients have an effect, 3 targets")
    assert rig.weights(np.zeros((5, 52))).shape == (5, 3)


def test_a_take_answers(take, tmp_path):
    take.save(tmp_path / "take.npz")
    assert repr(Take.load(tmp_path / "take.npz")) == "Take(2 samples, 2 actors, 0 to 0 s)"
    assert len(take[take.actor == 1]) == 1 and repr(Take.empty()) == "Take(no samples)"


def test_a_misspelled_character_gets_a_suggestion():
    with pytest.raises(FileNotFoundError, match="did you mean 'monster'"):
        load_rig("monstr")


def test_every_public_name_is_documented():
    assert set(retarget.__all__) <= set(dir(retarget))
    for name in retarget.__all__:
        value = getattr(retarget, name)
        assert value.__doc__ and value.__module__.startswith("retarget."), name


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'Rigg'"):
        _ = importlib.import_module("retarget").Rigg
