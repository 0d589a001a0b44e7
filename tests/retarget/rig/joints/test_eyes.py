"""Eyes turn about a point of their own, wherever their joint lies."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.animation.pose import pose_vertices
from retarget.gltf.document import write_glb
from retarget.rig.load import load_rig
from tests.helpers.skeletons import LEFT_EYE_AT, coefficients, make_character

AHEAD = np.array([[0, 0, 0, 1.0]])
REMARK = "its eye joints lie outside the eyes, which therefore turn about their middle"


def left_eye(rig, **values):
    """The vertices of the left eye (V, 3), where the head is not moved."""
    part = rig.mesh.parts[1]
    return pose_vertices(rig, coefficients(**values), AHEAD, rig.eye_center[None])[0, part.start : part.stop]


@pytest.mark.parametrize("place", [
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.01)),  # at the origin
    ((0.0, 1.5, 0.0), (0.0, 1.5, 0.001)),  # at the head joint
    ((0.3, 1.63, 0.085), (-0.3, 1.63, 0.085)),  # beside the head
    ((0.034, 1.63, 0.3), (-0.034, 1.63, 0.3)),  # before the face
])  # fmt: skip
def test_a_joint_outside_its_eye(place, tmp_path):
    write_glb(make_character(eyes_at=place), tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    np.testing.assert_allclose(rig.eye_pivots[0], LEFT_EYE_AT, atol=1e-6)
    np.testing.assert_allclose(rig.eye_center, (0, *LEFT_EYE_AT[1:]), atol=1e-6)
    still, turned = left_eye(rig), left_eye(rig, eyeLookOutLeft=1)
    np.testing.assert_allclose(turned.mean(axis=0), still.mean(axis=0), atol=1e-4)
    assert np.abs(turned - still).max() > 0.005 and REMARK in rig.remarks


@pytest.mark.parametrize("behind", [0.0, 0.013, 0.06])
def test_a_joint_in_the_eye_or_behind_it_stays(behind, tmp_path):
    """The flat eyes of drawn characters slide about a joint behind them."""
    x, y, z = LEFT_EYE_AT
    write_glb(make_character(eyes_at=((x, y, z - behind), (-x, y, z - behind))), tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    np.testing.assert_allclose(rig.eye_pivots[0], (x, y, z - behind), atol=1e-6)
    assert rig.remarks == ()


def test_gaze_goes_where_it_is_told(tmp_path):
    write_glb(make_character(eyes_at=((0, 0, 0), (0, 0, 0.01))), tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    front = int(left_eye(rig)[:, 2].argmax())
    moved = {
        name: left_eye(rig, **{name: 1})[front] - left_eye(rig)[front]
        for name in ("eyeLookOutLeft", "eyeLookInLeft", "eyeLookUpLeft")
    }
    assert moved["eyeLookOutLeft"][0] > 0.004 and moved["eyeLookInLeft"][0] < -0.004 and moved["eyeLookUpLeft"][1] > 0.004
