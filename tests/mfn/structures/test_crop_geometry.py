import numpy as np
import pytest

from mfn.structures.crop_geometry import CROP_MARGIN, CROP_SIZE, crop_face, crop_matrix, crop_windows


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
