"""Our own characters are complete, small, made by the committed code, and move as their shapes say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatars.source.build import CHARACTERS, to_glb
from avatars.source.sheet import EXPRESSIONS, coefficients
from mfn.structures.head_model import HeadModel
from retarget.animation.pose import pose_vertices
from retarget.arkit import ARKIT_NAMES, MIRROR
from retarget.gltf.accessors import read_accessor
from retarget.render.rasterizer import rasterize
from retarget.rig.load import load_rig
from retarget.rig.rig import Rig

ROOT = Path(__file__).resolve().parents[2]
SIZE, PX_PER_M = 300, 1000.0
FRONTAL = np.array([[0.0, 0.0, 0.0, 1.0]])
ORIGIN = np.zeros((1, 3))


@pytest.fixture(scope="module", params=CHARACTERS)
def rig(request: pytest.FixtureRequest) -> Rig:
    return load_rig(ROOT / "avatars" / f"{request.param}.glb")


def weights(**values: float) -> np.ndarray:
    """(52,) coefficients; Both stands for Left and Right."""
    return coefficients({name.replace("Both", "*"): value for name, value in values.items()})


def vertices(rig: Rig, expression: np.ndarray) -> np.ndarray:
    return pose_vertices(rig, expression[None], FRONTAL, ORIGIN)[0]


def visible_px(rig: Rig, expression: np.ndarray, material: str) -> int:
    """Count the pixels of a material in a frontal image of the face."""
    points = vertices(rig, expression) * (PX_PER_M, -PX_PER_M, -PX_PER_M) + (SIZE / 2, SIZE / 2, 0)
    triangle, _ = rasterize(points, rig.mesh.triangles, SIZE, SIZE)
    names = [item["name"] for item in rig.glb.document["materials"]]
    return int((rig.mesh.material[triangle[triangle >= 0]] == names.index(material)).sum())


def face_deltas(rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Positions (V, 3) and deltas (52, V, 3) of the node that has all shapes."""
    whole = max(rig.mesh.parts, key=lambda surface: len(surface.deltas))
    return rig.mesh.positions[whole.start : whole.stop], whole.deltas


def test_small_and_complete(rig: Rig) -> None:
    assert Path(rig.glb.path).stat().st_size <= 2_000_000
    assert rig.unmapped == ()
    assert rig.undriven == ()
    face = next(morph for morph in rig.morphs if len(morph.names) == 52)
    assert face.names == ARKIT_NAMES
    assert rig.glb.document["asset"]["copyright"].startswith("CC0")


def test_every_shape_moves_something(rig: Rig) -> None:
    rest = vertices(rig, weights())
    for row, name in enumerate(ARKIT_NAMES):
        moved = np.linalg.norm(vertices(rig, np.eye(52, dtype=np.float32)[row]) - rest, axis=1).max()
        assert moved > 0.0015, f"{name} moves {moved * 1000:.1f} mm"


def test_human_size_and_eyes_at_the_origin(rig: Rig) -> None:
    assert rig.scale == 1
    size = np.ptp(rig.mesh.rest_positions(), axis=0)
    assert 0.15 < size[0] < 0.40
    assert np.abs(rig.eye_center[:2]).max() < 0.01


def test_file_is_what_the_code_makes(rig: Rig) -> None:
    made = to_glb(CHARACTERS[rig.name](HeadModel.load()))
    again = "the file is not what the head model makes now: run python -m avatars.source.build"
    assert len(made.document["accessors"]) == len(rig.glb.document["accessors"]), again
    for number in range(len(made.document["accessors"])):
        ours, stored = read_accessor(made, number), read_accessor(rig.glb, number)
        assert ours.shape == stored.shape, again
        assert np.abs(ours.astype(np.float64) - stored).max() < 2.5e-4, again  # a delta below the smallest one may drop out


@pytest.mark.parametrize("name", ["eyeBlinkLeft", "browDownLeft", "cheekSquintLeft", "browOuterUpLeft", "eyeSquintLeft"])
def test_left_is_the_subjects_left(rig: Rig, name: str) -> None:
    positions, deltas = face_deltas(rig)
    way = np.linalg.norm(deltas[ARKIT_NAMES.index(name)], axis=1)
    if any(node["name"] == "thirdEye" for node in rig.glb.document["nodes"]):
        way[np.abs(positions[:, 0]) < 0.024] = 0  # an eye in the middle takes part in either side's shapes
    assert (positions[way > 0.003, 0] > -0.012).all()  # knitted brows pull the skin of the middle
    assert way[positions[:, 0] > 0].sum() > 8 * way[positions[:, 0] < 0].sum()


def test_mirrored_expressions_are_mirrored_faces(rig: Rig) -> None:
    wink = coefficients(EXPRESSIONS["wink left"])
    face = max(rig.mesh.parts, key=lambda surface: len(surface.deltas))  # what surrounds it, such as hair, may be asymmetric
    ours, other = (vertices(rig, which)[face.start : face.stop] for which in (wink, wink[list(MIRROR)]))
    low, high = (ours * (-1, 1, 1)).min(axis=0), (ours * (-1, 1, 1)).max(axis=0)
    np.testing.assert_allclose([other.min(axis=0), other.max(axis=0)], [low, high], atol=1e-3)
    assert np.linalg.norm(ours - other, axis=1).max() > 0.01


def test_lids_close_and_close_evenly(rig: Rig) -> None:
    eye = [visible_px(rig, weights(eyeBlinkBoth=amount), "eye") for amount in np.linspace(0, 1, 6)]
    assert eye[0] > 2000
    assert eye[-1] == 0
    assert visible_px(rig, weights(eyeBlinkBoth=0.85), "eye") == 0
    assert (np.diff(eye[:5]) < 0).all()
    assert visible_px(rig, weights(eyeWideBoth=1), "eye") > eye[0]
    assert visible_px(rig, weights(eyeBlinkBoth=1, eyeLookDownBoth=1, mouthSmileBoth=1), "eye") == 0
    assert visible_px(rig, weights(eyeBlinkLeft=1), "eye") == pytest.approx(eye[0] / 2, rel=0.1)


def test_closed_lids_lie_before_the_balls(rig: Rig) -> None:
    """In the direction of each front vertex of a ball, the nearest vertex of a lid lies further out."""
    closed = vertices(rig, weights(eyeBlinkBoth=1))
    trim = _face_vertices(rig, "trim")
    for ball in _eye_surfaces(rig):
        center = rig.world[ball.node, :3, 3] - rig.eye_center
        radius = np.linalg.norm(rig.mesh.positions[ball.start : ball.stop], axis=1).max()
        lids = closed[trim] - center
        reach = np.linalg.norm(lids, axis=1)
        lids, reach = lids[reach < 1.25 * radius], reach[reach < 1.25 * radius]
        points = closed[ball.start : ball.stop] - center
        points = points[points[:, 2] > 0.25 * radius]
        way = points / np.linalg.norm(points, axis=1, keepdims=True)
        near = (way @ (lids / reach[:, None]).T).argmax(axis=1)
        assert (np.linalg.norm(points, axis=1) < reach[near]).all()


def _face_vertices(rig: Rig, material: str) -> np.ndarray:
    number = [item["name"] for item in rig.glb.document["materials"]].index(material)
    return np.unique(rig.mesh.triangles[rig.mesh.material == number])


def test_lips_meet_and_part(rig: Rig) -> None:
    opened = visible_px(rig, weights(jawOpen=1), "mouth")
    assert opened > 1000
    assert visible_px(rig, weights(), "mouth") < 0.02 * opened
    assert visible_px(rig, weights(jawOpen=1, mouthClose=1), "mouth") < 0.05 * opened
    for closed in ("mouthPucker", "cheekPuff", "mouthPressBoth", "mouthRollLower", "mouthShrugLower", "jawLeft", "mouthRight"):
        assert visible_px(rig, weights(**{closed: 1}), "mouth") < 0.02 * opened, closed


def mouth_aspect(rig: Rig, **values: float) -> float:
    """Return width by height of what is visible between the lips."""
    points = vertices(rig, weights(**values)) * (PX_PER_M, -PX_PER_M, -PX_PER_M) + (SIZE / 2, SIZE / 2, 0)
    triangle, _ = rasterize(points, rig.mesh.triangles, SIZE, SIZE)
    names = [item["name"] for item in rig.glb.document["materials"]]
    row, column = np.nonzero((triangle >= 0) & (rig.mesh.material[triangle] == names.index("mouth")))
    return float(np.ptp(column) / np.ptp(row))


def test_lips_open_round(rig: Rig) -> None:
    assert mouth_aspect(rig, jawOpen=0.5) < mouth_aspect(rig, jawOpen=0.5, mouthSmileBoth=0.6)
    assert mouth_aspect(rig, jawOpen=0.36, mouthPucker=0.7) < 0.85 * mouth_aspect(rig, jawOpen=0.36)


def test_a_lowered_jaw_does_not_grin(rig: Rig) -> None:
    positions, deltas = face_deltas(rig)
    corner = np.abs(positions[:, 1] + 0.06) < 0.02
    corner &= (positions[:, 2] > 0.02) & (np.abs(positions[:, 0] - 0.03) < 0.01)
    up = deltas[:, corner, 1].mean(axis=1)
    assert up[ARKIT_NAMES.index("jawOpen")] < -0.004 and up[ARKIT_NAMES.index("mouthFrownLeft")] < -0.002


def test_brows_rise_sink_and_knit(rig: Rig) -> None:
    positions, deltas = face_deltas(rig)
    distance = 2 * rig.world[node_number(rig, "leftEye"), 0, 3]
    brow = (positions[:, 1] > 0.02) & (positions[:, 0] > 0.005)

    def way(name: str) -> np.ndarray:
        return np.asarray(deltas[ARKIT_NAMES.index(name)][brow] / distance)

    assert way("browInnerUp")[:, 1].max() > 0.2
    assert way("browOuterUpLeft")[:, 1].max() > 0.13
    assert way("browDownLeft")[:, 1].min() < -0.2
    assert way("browDownLeft")[:, 0].min() < -0.05


def test_squint_raises_the_lower_lid_more_than_it_drops_the_upper_one(rig: Rig) -> None:
    positions, deltas = face_deltas(rig)
    place = positions - rig.world[node_number(rig, "leftEye"), :3, 3]
    squint = deltas[ARKIT_NAMES.index("eyeSquintLeft"), np.abs(place[:, 0]) < 0.03, 1]
    assert squint.max() > 3 * -squint.min()


def test_cheeks_puff_outward(rig: Rig) -> None:
    positions, deltas = face_deltas(rig)
    puff = deltas[ARKIT_NAMES.index("cheekPuff")]
    assert puff[:, 2].max() > 0.012
    assert puff[positions[:, 0] > 0.03, 0].max() > 0.004


def node_number(rig: Rig, name: str) -> int:
    """Return the number of a node."""
    return [node.get("name") for node in rig.glb.document["nodes"]].index(name)


def test_tongue_comes_out_between_the_lips(rig: Rig) -> None:
    way = (vertices(rig, weights(tongueOut=1)) - vertices(rig, weights()))[_face_vertices(rig, "mouth")]
    assert way[:, 2].max() > 0.015
    assert visible_px(rig, weights(tongueOut=1), "mouth") > 500


def test_eyes_turn_about_their_centres(rig: Rig) -> None:
    rest, looking = vertices(rig, weights()), vertices(rig, weights(eyeLookOutLeft=1, eyeLookInRight=1))
    for ball in _eye_surfaces(rig):
        start, stop = ball.start, ball.stop
        pupil = start + int(rest[start:stop, 2].argmax())
        assert looking[pupil, 0] - rest[pupil, 0] > 0.008  # towards the subject's left
        center = rig.world[ball.node, :3, 3] - rig.eye_center
        out = [np.linalg.norm(points[start:stop] - center, axis=1) for points in (rest, looking)]
        np.testing.assert_allclose(out[1], out[0], atol=0.0015)


def _eye_surfaces(rig: Rig) -> list:
    nodes = rig.glb.document["nodes"]
    by_name = {nodes[surface.node]["name"]: surface for surface in rig.mesh.parts}
    return [by_name[name] for name in ("leftEye", "rightEye", "thirdEye") if name in by_name]
