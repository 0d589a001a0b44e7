"""Crowds stand apart inside the image, with exact boxes, and are drawn where their labels are."""

import numpy as np
import pytest

from mfn.structures.head_model import HeadModel, face_box
from mfn.synthesis.appearance import palette_appearances
from mfn.synthesis.crowd import backdrop, head_colors, paint_crowd, random_crowd

SIZE = (320, 180)


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def test_people_stand_apart_inside_the_image(model: HeadModel) -> None:
    faces = random_crowd(model, 9, SIZE, np.random.default_rng(0))
    assert len(faces) == 9
    np.testing.assert_allclose(faces.box, face_box(model.landmarks(faces, "mediapipe478")), atol=1e-3)
    middle = (faces.box[:, :2] + faces.box[:, 2:]) / 2
    assert (middle > 0).all() and (middle < SIZE).all()
    distance = np.linalg.norm(middle[:, None] - middle[None], axis=2) + 1e9 * np.eye(9)
    assert distance.min() > 0.5 * (faces.box[:, 2] - faces.box[:, 0]).max()


def test_no_people(model: HeadModel) -> None:
    faces, rng = random_crowd(model, 0, SIZE, np.random.default_rng(0)), np.random.default_rng(0)
    wall = backdrop(20, 30, rng)
    before = wall.copy()
    paint_crowd(wall, faces, model, [])
    assert len(faces) == 0 and faces.identity.shape == (0, model.identity_size)
    np.testing.assert_array_equal(wall, before)


def test_heads_are_drawn_where_the_labels_are(model: HeadModel) -> None:
    rng = np.random.default_rng(1)
    faces = random_crowd(model, 2, SIZE, rng)
    image = backdrop(SIZE[1], SIZE[0], rng)
    before = image.copy()
    paint_crowd(image, faces, model, palette_appearances(2, rng))
    changed = (image != before).any(2)
    for box in faces.box.round().astype(int):
        x, y = (box[:2] + box[2:]) // 2
        assert changed[y, x]
    assert not changed[0].all() and 0.05 < changed.mean() < 0.8


def test_colors_of_a_head(model: HeadModel) -> None:
    person = palette_appearances(1, np.random.default_rng(2))[0]
    colors = head_colors(model, person)
    assert colors.shape == (len(model.mean), 4) and colors.min() >= 0 and colors.max() <= 1
    assert (colors[:, 3] == 1).all()
    pupil = model.region_mask("pupil")
    assert colors[pupil, :3].max() < 0.1


def test_a_wall() -> None:
    wall = backdrop(40, 60, np.random.default_rng(0))
    assert wall.shape == (40, 60, 3) and wall.dtype == np.uint8
    assert wall[:5].mean() > wall[-5:].mean()
