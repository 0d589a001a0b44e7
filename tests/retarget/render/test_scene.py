"""Tests of rendered characters: position, occlusion, left and right, textures and transparency."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import write_glb
from retarget.gltf.materials import Material, sample_texture
from retarget.performance.take import Take
from retarget.render.opengl import shared_drawer
from retarget.render.scene import render_scene
from retarget.rig.load import load_rig
from tests.helpers.characters import ball, make_body, make_face, make_take


@pytest.fixture(autouse=True, params=["numpy", "opengl"])
def drawer(request, monkeypatch):
    """Run every test with both ways to draw."""
    found = shared_drawer() if request.param == "opengl" else None
    if request.param == "opengl" and found is None:
        pytest.skip('needs moderngl (pip install ".[gl]") and OpenGL, on Linux by EGL')
    monkeypatch.setattr("retarget.render.scene.shared_drawer", lambda: found)


def one_person(x=0.0, y=0.0, z=-1.0, rotation=(0, 0, 0, 1), **values):
    """Return a take of one frame with one person at (x, y, z) in meters and the given weights."""
    coefficients = np.zeros((1, 52))
    for name, value in values.items():
        coefficients[0, ARKIT_NAMES.index(name)] = value
    return Take(np.zeros(1), np.zeros(1, int), coefficients, np.array([rotation]), np.array([[x, y, z]]))


def people(*takes):
    """Return one take with the people of several takes."""
    return Take(
        *(np.concatenate([getattr(take, name) for take in takes]) for name in ("time_s",)),
        np.arange(len(takes)),
        *(np.concatenate([getattr(t, name) for t in takes]) for name in ("coefficients", "rotation", "translation")),
    )


def black(height=120, width=160):
    return np.zeros((height, width, 3), np.uint8)


def colored_ball(color, **material):
    """Return a character: a ball of 0.2 m in one color, with its eyes at the front."""
    points, triangles, normals = ball(0.1)
    part = Part(points, triangles, normals, deltas=np.full((1, len(points), 3), 0.001), material=0)
    surface = {"pbrMetallicRoughness": {"baseColorFactor": [*color, material.pop("alpha", 1)]}, **material}
    nodes = [
        Node("head", children=[1]),
        Node("leftEye", (0.03, 0, 0)),
        Node("x", shape=0),
        Node("rightEye", (-0.03, 0, 0)),
    ]
    nodes[0] = Node("head", children=[1, 2, 3])
    return build_glb(nodes, [Shape("s", [part], ["jawOpen"])], [surface])


def rig_of(glb, tmp_path, name="rig"):
    write_glb(glb, tmp_path / f"{name}.glb")
    return load_rig(tmp_path / f"{name}.glb")


def test_position_and_size(face_path):
    picture = render_scene(one_person(0.1, -0.05), [load_rig(face_path)], 160, 120, 200, black())
    rows, columns = np.nonzero(picture.any(axis=2))
    # 0.2 m wide at about 1.1 m: 36 px; the center of the ball is 0.09 m behind the eyes.
    assert columns.mean() + 0.5 == pytest.approx(80 + 200 * 0.1 / 1.09, abs=1)
    assert rows.mean() + 0.5 == pytest.approx(60 + 200 * 0.05 / 1.09, abs=1)
    assert np.ptp(columns) + 1 == pytest.approx(2 * 200 * 0.1 / 1.09, abs=3)


def test_nothing_is_drawn_without_people_in_view(face_path):
    rig, photo = load_rig(face_path), np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    assert (render_scene(Take.empty(), [rig], 50, 40, 60, photo) == photo).all()
    assert (render_scene(one_person(z=1.0), [rig], 50, 40, 60, photo) == photo).all()
    assert (render_scene(one_person(x=30), [rig], 50, 40, 60, photo) == photo).all()
    assert (render_scene(one_person(z=-1e9), [rig], 50, 40, 60, photo) == photo).all()
    plain = render_scene(Take.empty(), [rig], 50, 40, 60)
    assert plain.shape == (40, 50, 3) and plain.min() > 150
    before = photo.copy()
    render_scene(one_person(), [rig], 50, 40, 60, photo)
    assert (photo == before).all(), "the background of the caller is unchanged"


def test_the_nearer_person_occludes_the_farther_one(tmp_path):
    red, green = rig_of(colored_ball((1, 0, 0)), tmp_path, "r"), rig_of(colored_ball((0, 1, 0)), tmp_path, "g")
    for order in ([0, 1], [1, 0]):
        take = people(one_person(z=-2.0), one_person(z=-1.0))[order]
        picture = render_scene(take, [red, green], 160, 120, 200, black())
        assert picture[60, 80, 1] > 100 > picture[60, 80, 0]
    take = people(one_person(z=-1.0), one_person(z=-2.0))
    assert render_scene(take, [red, green], 160, 120, 200, black())[60, 80, 0] > 100


def test_the_subjects_left_is_on_the_right_of_the_picture(tmp_path):
    rig = rig_of(make_face(("mouthSmileLeft", "jawOpen")), tmp_path)
    # Move the smile's vertices to the subject's left side: those with x > 0.
    delta = rig.mesh.parts[0].deltas
    delta[0] = 0
    delta[0][rig.mesh.positions[: delta.shape[1], 0] > 0.05] = (0.05, 0, 0)
    still = render_scene(one_person(), [rig], 160, 120, 200, black())
    smiling = render_scene(one_person(mouthSmileLeft=1), [rig], 160, 120, 200, black())
    _, columns = np.nonzero((still != smiling).any(axis=2))
    assert len(columns) and columns.min() >= 80
    glb = make_face()
    glb.document["materials"][1]["pbrMetallicRoughness"]["baseColorFactor"] = [0, 1, 0, 1]
    half_turn = np.sin(np.radians(20)), np.cos(np.radians(20))  # to the subject's left by 40 degrees
    turned = render_scene(
        one_person(rotation=(0, half_turn[0], 0, half_turn[1])), [rig_of(glb, tmp_path)], 160, 120, 200, black()
    )
    eyes = np.nonzero(turned[:, :, 1] > turned[:, :, 0].astype(int) + 60)
    skin = np.nonzero(turned.any(axis=2))
    assert eyes[1].mean() > skin[1].mean() + 5


def test_transparent_materials_show_the_background(tmp_path):
    photo = black() + np.uint8(255)
    middle = {}
    for kind, alpha in (("OPAQUE", 0.3), ("BLEND", 0.3), ("MASK", 0.3), ("MASK", 0.7)):
        rig = rig_of(colored_ball((0, 0, 1), alphaMode=kind, alpha=alpha), tmp_path)
        middle[kind, alpha] = render_scene(one_person(), [rig], 160, 120, 200, photo)[60, 80].astype(int)
    assert middle["OPAQUE", 0.3][0] < 120 and (middle["MASK", 0.3] == 255).all()
    assert (middle["MASK", 0.7] == middle["OPAQUE", 0.3]).all()
    assert middle["OPAQUE", 0.3][0] + 40 < middle["BLEND", 0.3][0] < 255


def test_two_transparent_layers(tmp_path):
    once = rig_of(colored_ball((0, 0, 0), alphaMode="BLEND", alpha=0.5), tmp_path)
    twice = rig_of(colored_ball((0, 0, 0), alphaMode="BLEND", alpha=0.5, doubleSided=True), tmp_path, "two")
    photo = black() + np.uint8(255)
    front = render_scene(one_person(), [once], 160, 120, 200, photo)[60, 80, 0]
    both = render_scene(one_person(), [twice], 160, 120, 200, photo)[60, 80, 0]
    assert 180 < front < 225 and both < front - 20


def test_texture_and_vertex_colors(tmp_path):
    checker = np.zeros((64, 64, 3), np.uint8)
    checker[:, :32] = (255, 0, 0)  # left half blue in OpenCV's order
    checker[:, 32:] = (0, 0, 255)
    corners = np.array([[-0.1, 0.1, 0], [0.1, 0.1, 0], [-0.1, -0.1, 0], [0.1, -0.1, 0]])
    square = Part(
        corners,
        np.array([[0, 2, 1], [1, 2, 3]]),
        uv=np.array([[0, 0], [1, 0], [0, 1], [1, 1]]),
        colors=np.array([[1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]]),
        deltas=np.ones((1, 4, 3)),
        material=0,
    )
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}, "extensions": {"KHR_materials_unlit": {}}}
    png = cv2.imencode(".png", checker)[1].tobytes()
    rig = rig_of(build_glb([Node("a", shape=0)], [Shape("s", [square], ["jawOpen"])], [material], [png]), tmp_path)
    picture = render_scene(one_person(), [rig], 160, 120, 400, black())
    rows, columns = np.nonzero(picture.any(axis=2))
    top, left, right = rows.min() + 3, columns.min() + 3, columns.max() - 3
    assert picture[top, left, 2] > 200 > 30 > picture[top, left, 0], "upper left: blue"
    assert picture[top, right, 0] > 200 > 30 > picture[top, right, 2], "upper right: red"
    assert picture[rows.max() - 3].max() < 110, "vertex colors darken the lower edge"


def test_texture_coordinates_repeat_and_texels_are_interpolated():
    texture = np.zeros((2, 2, 4), np.uint8)
    texture[:, 1] = 255
    material = Material(np.ones(4, np.float32), (texture,))
    values = sample_texture(material, np.array([[0.25, 0.25], [0.75, 0.25], [0.5, 0.5], [1.75, -3.2], [-0.75, 9.0]]), 5)
    np.testing.assert_allclose(values[:, 0], [0, 1, 0.5, 1, 0], atol=1e-6)


def test_the_body_is_drawn_only_on_request(tmp_path):
    rig = rig_of(make_body(), tmp_path)
    head = render_scene(one_person(z=-3), [rig], 160, 120, 200, black())
    whole = render_scene(one_person(z=-3), [rig], 160, 120, 200, black(), whole_body=True)
    assert 0 < head.any(axis=2).sum() < whole.any(axis=2).sum() / 3


def test_the_size_of_bands_does_not_matter(face_path, monkeypatch):
    rig, take = load_rig(face_path), make_take(3)
    whole = render_scene(take, [rig], 160, 120, 200)
    monkeypatch.setattr("retarget.render.draw_rig._PIXELS_AT_ONCE", 500)
    assert np.abs(render_scene(take, [rig], 160, 120, 200).astype(int) - whole).max() <= 1
    monkeypatch.setattr("retarget.render.draw_rig._MAX_PIXELS", 200)
    coarse = render_scene(take, [rig], 160, 120, 200).astype(int)
    assert 0.5 < np.abs(coarse - whole).mean() < 8, "lower resolution, same position"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0, 5, 9), "at least 1 x 1 px"),
        ((5, 5, 0), "focal_px > 0"),
        ((5, 5, float("nan")), "focal_px > 0"),
        ((5, 5, 9, np.zeros((5, 6, 3), np.uint8)), r"background: expected \(5, 5, 3\) uint8"),
        ((5, 5, 9, np.zeros((5, 5, 3))), "float64"),
    ],
)
def test_wrong_arguments_raise(arguments, message, face_path):
    with pytest.raises(ValueError, match=message):
        render_scene(Take.empty(), [load_rig(face_path)], *arguments)
