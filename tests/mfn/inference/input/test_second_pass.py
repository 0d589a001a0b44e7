"""Stretched values, and other views of pictures without a sure face."""

import numpy as np
import pytest

from mfn.inference.input.second_pass import faces_in_picture, stretch_dim, views
from mfn.inference.predictor import Predictor
from mfn.structures.camera import FRONTAL
from tests.helpers.faces import random_faces
from tests.mfn.inference.input.test_passes import Squares, paint


@pytest.mark.parametrize(("gain", "offset"), [(0.05, 0), (0.15, 191)])
def test_dim_and_hazy_pictures_are_stretched(gain, offset):
    picture = np.tile(np.linspace(0, 255, 640).astype(np.uint8)[:, None], (200, 1, 3))
    changed = np.round(gain * picture + offset).astype(np.uint8)
    stretched = stretch_dim(changed)
    assert stretched.min() == 0 and stretched.max() == 255 and np.abs(stretched.astype(int) - picture).max() < 25
    assert stretch_dim(picture) is picture
    for plain in (np.zeros((9, 9, 3), np.uint8), np.full((300, 500, 3), 90, np.uint8)):
        assert stretch_dim(plain) is plain


@pytest.mark.parametrize("shape", [(300, 500), (500, 200)])
def test_faces_of_views_come_back_to_their_places(shape):
    box = np.array([[40, 60, 100, 180]])
    groups = list(views(paint(*shape, box), max_face_px=400, factor=1.0))
    assert [len(group) for group in groups] == [1, 3]
    for view in [view for group in groups for view in group]:
        rows, columns = np.nonzero(view.pixels[..., 0] > 200)
        seen = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
        face = random_faces(1).replace(box=seen, center=(seen[:, :2] + seen[:, 2:]) / 2, rotation=FRONTAL[None])
        found = faces_in_picture(face, view)
        np.testing.assert_allclose(found.box, box, atol=2)
        np.testing.assert_allclose(found.center, [[70, 120]], atol=2)
        np.testing.assert_allclose(found.scale, face.scale / view.scale[0], rtol=0.02)
        turn = (found.pitch_yaw_roll_deg[0, 2] + 90 * view.quarter_turns) % 360
        assert min(turn, 360 - turn) < 0.1, "a face that stands upright after a clockwise turn was turned counterclockwise before"


class Framed(Squares):
    """A network that does not see faces that touch the border of its input."""

    def _cells(self, image: np.ndarray) -> np.ndarray:
        inner = image.copy()
        if (image[[0, -1]] > 128).any() or (image[:, [0, -1]] > 128).any():
            inner[:] = 0
        return super()._cells(inner)


def test_a_face_that_fills_the_frame_is_found_in_a_padded_copy():
    predictor, picture = Predictor(Framed()), np.full((600, 480, 3), 255, np.uint8)
    np.testing.assert_allclose(predictor(picture).box, [[0, 0, 480, 600]], atol=6)
    assert len(predictor(picture, video=True)) == 0, "frames of clips get one pass only"


def test_many_unsure_faces_do_not_outweigh_a_sure_one(monkeypatch):
    predictor, unsure = Predictor(Framed(), score=0.01), random_faces(60)
    unsure = unsure.replace(score=np.full(60, 0.04))
    monkeypatch.setattr(predictor, "_detect", lambda *_: random_faces(1).replace(score=np.array([0.9])))
    found = predictor._detect_in_views(np.zeros((600, 480, 3), np.uint8), 1.0, unsure)
    assert found.score.tolist() == pytest.approx([0.9])
