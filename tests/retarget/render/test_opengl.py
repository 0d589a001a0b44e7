"""OpenGL and NumPy draw the same pictures: of our characters, of textures, of transparent and of two-sided surfaces."""

from __future__ import annotations

import ctypes
import gc
import threading

import cv2
import numpy as np
import pytest

from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import write_glb
from retarget.performance.take import Take
from retarget.render import opengl
from retarget.render.draw_rig import draw_rig
from retarget.render.opengl import shared_drawer
from retarget.render.scene import render_scene
from retarget.rig.avatars import find_avatar
from retarget.rig.load import load_rig
from tests.helpers.characters import ball, make_body, make_take

if shared_drawer() is None:
    pytest.skip('needs moderngl (pip install ".[gl]") and OpenGL, on Linux by EGL', allow_module_level=True)

from moderngl import InvalidObject  # noqa: E402

PHOTO = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8).repeat(3, 0).repeat(3, 1)  # 180 x 240


def both(take, rigs, monkeypatch, **options):
    """Return the pictures of OpenGL and of NumPy, as integers."""
    pictures = []
    for drawer in (shared_drawer(), None):
        monkeypatch.setattr("retarget.render.scene.shared_drawer", lambda drawer=drawer: drawer)
        pictures.append(render_scene(take, rigs, 240, 180, 260.0, PHOTO, **options).astype(int))
    return pictures


def check_same(first, second, share=0.98):
    """Of all drawn pixels nearly all differ by two gray levels at most; the others lie on outlines."""
    drawn = (second != PHOTO).any(axis=2)
    difference = np.abs(first - second).max(axis=2)
    assert drawn.sum() > 500 and (difference[drawn] <= 2).mean() > share
    assert np.abs(first - second).mean() < 0.25
    untouched = cv2.dilate(drawn.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    assert (difference[untouched] > 0).mean() < 1e-4, "the background stays as it is, bit by bit"


@pytest.mark.parametrize("name", ["robot", "lion"])
def test_our_characters(name, monkeypatch):
    """Of a head of 150 pixels. In smaller ones many triangles are smaller than a pixel."""
    take = make_take(1)
    take = Take(take.time_s, take.actor, take.coefficients, take.rotation, np.array([[0.0, 0.0, -0.5]]))
    check_same(*both(take, [load_rig(find_avatar(name))], monkeypatch), share=0.94)


def test_a_head_without_its_body(tmp_path, monkeypatch):
    write_glb(make_body(), tmp_path / "a.glb")
    rig, take = load_rig(tmp_path / "a.glb"), make_take(1)
    head, whole = both(take, [rig], monkeypatch), both(take, [rig], monkeypatch, whole_body=True)
    check_same(*head)
    check_same(*whole)
    assert (whole[0] != PHOTO).sum() > (head[0] != PHOTO).sum()


def ball_rig(tmp_path, **material):
    """A rig: a ball with a striped texture and a material."""
    points, triangles, normals = ball(0.1)
    uv = np.stack([points[:, 0] * 12 + 0.5, points[:, 1] * 12 + 0.5], axis=1)  # it repeats
    part = Part(points, triangles, normals, uv=uv, deltas=np.full((1, len(points), 3), 0.001), material=0)
    stripes = np.full((32, 32, 4), 255, np.uint8)
    stripes[:, 8:20] = (40, 90, 200, 120)
    png = cv2.imencode(".png", stripes)[1].tobytes()
    base = {"baseColorTexture": {"index": 0}, "baseColorFactor": [0.9, 0.8, 0.7, 0.8], "roughnessFactor": 0.3, "metallicFactor": 0}
    nodes = [Node("head", children=[1, 2, 3]), Node("leftEye", (0.03, 0, 0)), Node("x", shape=0), Node("rightEye", (-0.03, 0, 0))]
    glb = build_glb(nodes, [Shape("s", [part], ["jawOpen"])], [{"pbrMetallicRoughness": base, **material}], [png])
    write_glb(glb, tmp_path / "ball.glb")
    return load_rig(tmp_path / "ball.glb")


@pytest.mark.parametrize(
    "material",
    [
        {},
        {"alphaMode": "BLEND", "doubleSided": True},
        {"alphaMode": "MASK", "alphaCutoff": 0.5, "doubleSided": True},
        {"emissiveFactor": [0.2, 0, 0]},
        {"extensions": {"KHR_materials_unlit": {}}},
    ],
)
def test_materials(material, tmp_path, monkeypatch):
    check_same(*both(make_take(1), [ball_rig(tmp_path, **material)], monkeypatch), share=0.93)


def test_large_characters_are_drawn_coarsely_in_both(tmp_path, monkeypatch):
    monkeypatch.setattr("retarget.render.draw_rig._MAX_PIXELS", 800)
    first, second = both(make_take(1), [ball_rig(tmp_path)], monkeypatch)
    assert np.abs(first - second).mean() < 1.5


def test_what_is_too_near_is_left_to_numpy(tmp_path, monkeypatch):
    rig, drawn = ball_rig(tmp_path), []
    monkeypatch.setattr(opengl, "draw_rig", lambda *given: drawn.append(draw_rig(*given)))
    near = make_take(1)
    near = Take(near.time_s, near.actor, near.coefficients, near.rotation, np.array([[0.0, 0.0, -0.1195]]))
    first, second = both(near, [rig], monkeypatch)
    assert (first == second).all() and len(drawn) == 1


def test_a_failure_of_opengl_leaves_the_picture_to_numpy(tmp_path, monkeypatch):
    import moderngl

    def fail(*given):
        raise moderngl.Error("out of memory")

    monkeypatch.setattr(shared_drawer(), "_draw_layers", fail, raising=True)
    first, second = both(make_take(1), [ball_rig(tmp_path)], monkeypatch)
    assert (first == second).all() and (first != PHOTO).any()


def test_it_can_be_forbidden(monkeypatch):
    monkeypatch.setenv("RETARGET_OPENGL", "0")
    assert shared_drawer() is None


def test_a_rig_that_is_gone_leaves_no_buffers(tmp_path):
    drawer, take = shared_drawer(), make_take(1)
    is_buffer = ctypes.CFUNCTYPE(ctypes.c_ubyte, ctypes.c_uint)(drawer._gl.mglo._context.load("glIsBuffer"))
    rig = ball_rig(tmp_path)
    render_scene(take, [rig], 240, 180, 260.0, PHOTO)
    (number,) = (kept.moving.glo for kept in drawer._rigs.values() if kept.owner() is rig)
    del rig
    gc.collect()
    assert is_buffer(number), "it is released by the thread that has the context"
    for _ in range(2):  # the new rig may lie in memory where the old one was
        other = ball_rig(tmp_path)
        render_scene(take, [other], 240, 180, 260.0, PHOTO)
    assert not is_buffer(number)


def test_a_thread_that_ends_leaves_no_context(tmp_path):
    rig, take, contexts = ball_rig(tmp_path), make_take(1), []

    def draw():
        render_scene(take, [rig], 240, 180, 260.0, PHOTO)
        context = shared_drawer()._gl
        contexts.append((context, type(context.mglo)))

    for _ in range(3):
        thread = threading.Thread(target=draw)
        thread.start()
        thread.join()
    gc.collect()
    assert all(isinstance(context.mglo, InvalidObject) and before is not InvalidObject for context, before in contexts), "released"
    render_scene(take, [rig], 240, 180, 260.0, PHOTO)
    assert not isinstance(shared_drawer()._gl.mglo, InvalidObject), "that of a thread that lives stays"
