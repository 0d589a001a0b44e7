"""Edited photos follow their new labels, and change nothing else."""

import numpy as np
import pytest

pytest.importorskip("cv2")

from mfn.structures.camera import FRONTAL
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.photo_edits.expression_edit import ExpressionEditor
from retarget.arkit import EXPRESSION_NAMES

MODEL = HeadModel.load()


@pytest.fixture(scope="module")
def editor() -> ExpressionEditor:
    return ExpressionEditor(MODEL)


def one_face() -> Faces:
    return Faces(
        image=[0],
        box=[[60, 50, 140, 160]],
        score=[1],
        rotation=FRONTAL[None],
        scale=[700.0],
        center=[[100.0, 85.0]],
        identity=np.zeros((1, MODEL.identity_size)),
        expression=np.zeros((1, len(EXPRESSION_NAMES))),
        track=[-1],
    )


def weights(**given: float) -> np.ndarray:
    out = np.zeros((1, len(EXPRESSION_NAMES)), np.float32)
    for name, weight in given.items():
        out[0, EXPRESSION_NAMES.index(name)] = weight
    return out


def skin() -> np.ndarray:
    return np.clip(np.array([190, 140, 120]) + np.random.default_rng(0).normal(0, 4, (200, 200, 1)), 0, 255).astype(
        np.uint8
    )


def test_the_same_expression_keeps_the_photo(editor: ExpressionEditor) -> None:
    photo, face = skin(), one_face()
    edit = editor.edit(photo, face, face.expression)
    assert np.abs(edit.picture.astype(int) - photo).mean() < 2 and edit.mean_motion_px < 0.05 and edit.painted_share < 0.05


def test_a_dot_on_the_chin_moves_with_the_label(editor: ExpressionEditor) -> None:
    photo, face = skin(), one_face()
    x, y = MODEL.landmarks(face, "ibug68")[0, 8, :2].astype(int)
    photo[y - 5 : y - 1, x - 2 : x + 3] = (0, 0, 255)
    edit = editor.edit(photo, face, weights(jawOpen=0.7))
    found = np.argwhere((edit.picture[..., 2].astype(int) - edit.picture[..., 0]) > 80)
    expected = MODEL.landmarks(edit.face, "ibug68")[0, 8, :2] - (0, 3)
    assert expected[1] - y > 5
    np.testing.assert_allclose(found.mean(0)[::-1], expected, atol=3.5)


def test_an_opened_mouth_is_painted_dark(editor: ExpressionEditor) -> None:
    edit = editor.edit(skin(), one_face(), weights(jawOpen=1.0))
    points = MODEL.landmarks(edit.face, "ibug68")[0, :, :2]
    x, y = points[[62, 66]].mean(0).astype(int)
    assert edit.picture[y - 2 : y + 3, x - 2 : x + 3].mean() < 90 and 0 < edit.painted_share < 0.2


def test_nothing_changes_away_from_the_face(editor: ExpressionEditor) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    edit = editor.edit(photo, one_face(), weights(jawOpen=1.0, browInnerUp=1.0))
    np.testing.assert_array_equal(edit.picture[:5], photo[:5])
    assert edit.picture.shape == photo.shape and edit.face.expression[0].max() == 1


def test_a_face_outside_the_picture_is_no_error(editor: ExpressionEditor) -> None:
    face = one_face().replace(center=np.array([[-900.0, -900.0]], np.float32))
    edit = editor.edit(skin(), face, weights(jawOpen=1.0))
    assert edit.picture.shape == (200, 200, 3)
