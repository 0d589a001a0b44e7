import numpy as np
import pytest

from mfn.inference.visualize import draw_faces, face_color, face_mask, region_colors
from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces


def some_faces(identity_size: int, *rows: tuple[float, float, float]) -> Faces:
    """Frontal faces: x, y of the center and box height, px."""
    n = len(rows)
    x, y, size = np.array(rows, float).reshape(n, 3).T
    half = np.stack([size * 0.4, size * 0.5], 1)
    center = np.stack([x, y], 1)
    return Faces(
        image=np.zeros(n),
        box=np.concatenate([center - half, center + half], 1),
        score=np.full(n, 0.9),
        rotation=np.tile(rotation_from_euler(np.zeros(3)), (n, 1, 1)),
        scale=size / 0.19,
        center=center,
        identity=np.zeros((n, identity_size)),
        expression=np.zeros((n, 51)),
        track=np.full(n, -1),
    )


def blank(height: int = 240, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), 60, np.uint8)


def test_no_faces_leave_a_copy_of_the_picture(head_model):
    picture = blank()
    drawn = draw_faces(picture, Faces.empty(head_model.identity_size), head_model)
    assert (drawn == picture).all() and drawn is not picture


def test_the_picture_given_is_left_alone(head_model):
    picture = blank()
    draw_faces(picture, some_faces(head_model.identity_size, (160, 120, 100)), head_model)
    assert (picture == 60).all()


@pytest.mark.parametrize("size", [4, 12, 40, 200, 2000])
def test_every_size_of_face(head_model, size):
    faces = some_faces(head_model.identity_size, (160, 120, size))
    drawn = draw_faces(blank(), faces, head_model)
    changed = (drawn != 60).any(axis=2)
    assert changed.any()
    if size <= 40:  # what is drawn stays near the face
        rows, columns = np.nonzero(changed)
        assert abs(rows - 120).max() < size + 16 and abs(columns - 160).max() < size + 24


@pytest.mark.parametrize("place", [(-5000, 0), (320, 240), (0, 0), (1e6, 1e6)])
def test_faces_outside_or_at_the_edge(head_model, place):
    drawn = draw_faces(blank(), some_faces(head_model.identity_size, (*place, 90)), head_model)
    assert drawn.shape == blank().shape


def test_without_a_head_model_there_are_boxes_and_axes():
    drawn = draw_faces(blank(), some_faces(3, (160, 120, 100)))
    assert tuple(drawn[120 - 50, 180]) == tuple(drawn[150, 160 - 40]) == face_color(0)
    assert drawn[120, 175, 0] > 150 and drawn[100, 160, 1] > 120  # x is red, y is green


def test_the_nearer_face_lies_over_the_farther(head_model):
    near, far = (160, 120, 120), (180, 120, 60)
    size = head_model.identity_size
    both = draw_faces(blank(), some_faces(size, near, far), head_model)
    swapped = draw_faces(blank(), some_faces(size, far, near), head_model)
    alone = draw_faces(blank(), some_faces(size, near), head_model)
    away = (slice(128, 145), slice(162, 176))  # on both faces, off boxes and axes
    assert np.abs(both[away].astype(int) - alone[away]).max() <= 1
    assert both.shape == swapped.shape


def test_eyes_are_white_and_dark(head_model):
    colors = region_colors(head_model)
    assert np.isnan(colors[head_model.region_mask("face")]).all()
    assert (colors[head_model.region_mask("eyeball_left")] > 0.9).all()
    assert (colors[head_model.region_mask("pupil")] < 0.1).all()


def test_the_mask_is_the_face(head_model):
    mask = face_mask(head_model)
    assert ((mask >= 0) & (mask <= 1)).all()
    assert (mask[head_model.region_mask("lips", "lids", "iris")] == 1).all()
    assert (mask[head_model.region_mask("neck")] < 0.5).all() and mask[head_model.mean[:, 1].argmax()] == 0


def test_a_face_that_is_not_finite_is_skipped(head_model):
    faces = some_faces(head_model.identity_size, (160, 120, 100))
    draw_faces(blank(), faces.replace(scale=np.array([np.nan])), head_model)
    assert (draw_faces(blank(), faces.replace(rotation=np.full((1, 3, 3), np.nan)), head_model) == 60).all()
