import numpy as np
import pytest

from mfn.structures.camera import rotation_from_euler
from mfn.structures.crop_geometry import (
    CROP_MARGIN,
    CROP_SIZE,
    crop_face,
    crop_matrix,
    crop_windows,
    cut_crops,
    face_tile,
    faces_from_crops,
    upright_frames,
    upright_turn,
)
from mfn.structures.faces import Faces
from mfn.structures.head_model import face_box
from tests.helpers.faces import random_faces


def test_the_window_is_a_square_around_the_box():
    windows = crop_windows(np.array([[10, 20, 30, 60.0]]))
    np.testing.assert_allclose(windows, [[20, 40, 40 * CROP_MARGIN]])
    assert crop_windows(np.zeros((0, 4))).shape == (0, 3)


def test_the_matrix_maps_the_window_to_the_crop():
    matrix = crop_matrix(np.array([20.0, 40.0, 64.0]))
    corners = np.array([[-12.0, 8.0, 1.0], [52.0, 72.0, 1.0], [20.0, 40.0, 1.0]])
    np.testing.assert_allclose(corners @ matrix.T, [[0, 0], [CROP_SIZE, CROP_SIZE], [CROP_SIZE / 2] * 2])


@pytest.mark.parametrize("side", [32.0, 128.0, 512.0])
def test_a_square_stays_in_its_place_at_every_scale(side):
    picture = np.zeros((600, 600, 3), np.uint8)
    quarter = int(side / 4)
    picture[300 - quarter : 300 + quarter, 300 - quarter : 300 + quarter] = 255
    crop = crop_face(picture, crop_matrix(np.array([300.0, 300.0, side])))
    rows, columns = np.nonzero(crop[..., 0] > 127)
    assert crop.shape == (CROP_SIZE, CROP_SIZE, 3)
    for found in (rows, columns):
        assert abs(found.min() - CROP_SIZE / 4) <= 2 and abs(found.max() + 1 - CROP_SIZE * 3 / 4) <= 2


def test_outside_the_picture_lies_black_or_the_background():
    picture = np.full((100, 100, 3), 200, np.uint8)
    matrix = crop_matrix(np.array([0.0, 0.0, 128.0]))
    assert (crop_face(picture, matrix)[:32, :32] == 0).all()
    filled = crop_face(picture, matrix, np.full((CROP_SIZE, CROP_SIZE, 3), 7, np.uint8))
    assert (filled[:32, :32] == 7).all() and (filled[80:, 80:] == 200).all()


def test_crop_matrix_maps_the_window_to_the_crop():
    window = np.array([100.0, 50, 64])
    corners = crop_matrix(window) @ np.array([[68, 18, 1], [132, 82, 1.0]]).T
    np.testing.assert_allclose(corners.T, [[0, 0], [CROP_SIZE, CROP_SIZE]])


def tilted_faces(head_model, count: int = 6) -> Faces:
    """Faces of any roll in a picture of 640 x 480 px."""
    rng = np.random.default_rng(3)
    angles = rng.uniform([-0.3, -0.6, -np.pi], [0.3, 0.6, np.pi], (count, 3))
    return random_faces(count).replace(
        rotation=rotation_from_euler(angles),
        scale=rng.uniform(200, 1500, count),
        center=rng.uniform([200, 150], [440, 330], (count, 2)),
        identity=np.zeros((count, head_model.identity_size)),
    )


def test_faces_stand_upright_in_the_middle_of_their_crops(head_model):
    faces, size_px = tilted_faces(head_model), 64
    frames = upright_frames(faces, head_model, size_px)
    points = head_model.landmarks(faces, "mediapipe478")[..., :2]
    seen = np.einsum("nij,nlj->nli", frames.matrix[:, :, :2], points) + frames.matrix[:, None, :, 2]
    box = face_box(seen)
    np.testing.assert_allclose((box[:, :2] + box[:, 2:]) / 2, size_px / 2, atol=0.1)
    np.testing.assert_allclose((box[:, 2:] - box[:, :2]).max(1), size_px / CROP_MARGIN, atol=0.1)
    assert (seen[:, 152, 1] > seen[:, 10, 1] + 10).all(), "the chin lies below the forehead"


def test_what_is_read_in_a_crop_comes_back_to_the_picture(head_model):
    faces = tilted_faces(head_model)
    frames = upright_frames(faces, head_model, 64)
    a, gain = frames.matrix[:, :, :2], np.sqrt(np.linalg.det(frames.matrix[:, :, :2]))
    read = {
        "rotation": frames.turn @ faces.rotation,
        "scale": gain * faces.scale,
        "center": np.einsum("nij,nj->ni", a, faces.center) + frames.matrix[:, :, 2],
        "identity": faces.identity,
        "expression": faces.expression,
    }
    for name, value in faces_from_crops(read, frames).items():
        np.testing.assert_allclose(value, getattr(faces, name), rtol=1e-4, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("side", [20.0, 64.0, 150.0, 400.0])
@pytest.mark.parametrize("angle", [0.0, 0.5, np.pi])
def test_crops_show_the_right_part_of_the_picture(side, angle):
    y, x = np.mgrid[:600, :700] + 0.5
    picture = np.stack([x * 255 / 700, y * 255 / 600, 0 * x], -1).round().astype(np.uint8)
    linear = 64 / side * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.concatenate([linear, (32 - linear @ [350, 290])[:, None]], 1)
    crop = cut_crops(picture, matrix[None], 64)[0].astype(float)
    at = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5), -1)
    expected = (at - matrix[:, 2]) @ np.linalg.inv(linear).T * np.array([255 / 700, 255 / 600])
    assert np.abs(crop[..., :2] - expected).max() < 2.5


def test_crops_that_shrink_do_not_alias():
    picture = np.zeros((400, 400, 3), np.uint8)
    picture[:, ::2] = 255
    matrix = np.array([[[0.2, 0, -8], [0, 0.2, -8]]])
    assert np.ptp(cut_crops(picture, matrix, 64)[0, 4:-4, 4:-4].astype(int)) < 40
    outside = cut_crops(picture, np.array([[[1, 0, 500], [0, 1, 500]], [[0.01, 0, 0], [0, 0.01, 0]]]), 64)
    assert (
        (outside[0] == 0).all()
        and outside.shape == (2, 64, 64, 3)
        and cut_crops(picture, np.zeros((0, 2, 3)), 64).shape == (0, 64, 64, 3)
    )


@pytest.mark.parametrize("size", [1, 3, 40])
def test_crops_of_one_part_of_tiny_pictures_and_outside(size):
    inside = np.array([[0.1, 0, 20], [0, 0.1, 20]])
    crops = cut_crops(np.full((size, size, 3), 255, np.uint8), np.stack([inside, inside + [0, 0, 900]] * 2), 64, of_each=2)
    assert (crops[0] == crops[2]).all() and (crops[0] > 0).any() and not crops[[1, 3]].any()


@pytest.mark.parametrize("gain", [0.04, 0.2, 0.9])
def test_crops_of_one_part_are_nearly_those_that_are_cut_one_by_one(gain):
    """The part is halved once for all of them, so that only the rounding differs."""
    rows, columns = np.mgrid[:900, :1200]
    picture = np.stack([rows / 4, columns / 5, 120 + 100 * np.sin(rows / 40) * np.sin(columns / 30)], -1).astype(np.uint8)
    one = np.array([[[gain, 0, -gain * 300], [0, gain, -gain * 200]], [[gain, 0, -gain * 500], [0, gain, -gain * 600]]])
    moved = np.concatenate([one, one * 1.05, one * 0.95 + [0, 0, 3]])
    together = cut_crops(picture, moved, 64, of_each=3).astype(int)
    alone = np.concatenate([cut_crops(picture, each[None], 64) for each in moved]).astype(int)
    inside = (together > 0) & (alone > 0)  # at the border of the picture the halved copy ends elsewhere
    assert np.abs(together - alone)[inside].mean() < 2 and inside.mean() > 0.1


@pytest.mark.parametrize("size", [20, 400, 3000])
def test_tiles_show_the_box_in_the_middle(size):
    picture = np.zeros((size * 2, size * 2, 3), np.uint8)
    picture[size // 2 : size + size // 2, size // 2 : size + size // 2] = 255
    tile = face_tile(picture, np.array([size // 2, size // 2, size + size // 2, size + size // 2], np.float32), 112)
    assert tile.shape == (112, 112, 3)
    assert (tile > 127).all(-1).mean() == pytest.approx((1 / 1.7) ** 2, abs=0.03)
    for far in (-9e3, 9e3):
        assert (face_tile(picture, np.array([far, far, far + 1e3, far + 1e3], np.float32), 112) == 128).all()


@pytest.mark.parametrize("size", [20, 400, 3000])
def test_a_face_at_the_border_keeps_its_form(size):
    """Half of it lies outside the picture: that half of the tile is gray, and the other half is not stretched."""
    picture = np.zeros((size * 2, size * 2, 3), np.uint8)
    picture[size // 2 : size + size // 2, : size // 2] = 255
    tile = face_tile(picture, np.array([-size // 2, size // 2, size // 2, size + size // 2], np.float32), 112)
    assert (tile[:, :50] == 128).all()
    assert (tile > 200).all(-1).mean() == pytest.approx((1 / 1.7) ** 2 / 2, abs=0.02)


def test_after_the_upright_turn_heads_stand_upright():
    rotation = random_faces(50).rotation.astype(np.float64)
    turn = upright_turn(rotation)
    np.testing.assert_allclose(turn @ turn.swapaxes(1, 2), np.broadcast_to(np.eye(3), turn.shape), atol=1e-12)
    np.testing.assert_allclose(turn[:, 2], np.broadcast_to([0, 0, 1], (50, 3)))
    up = (turn @ rotation)[:, :, 1]
    assert np.abs(up[:, 0]).max() < 1e-12 and (up[:, 1] <= 0).all(), "y points down in a picture"
    assert upright_turn(rotation[:0]).shape == (0, 3, 3)
