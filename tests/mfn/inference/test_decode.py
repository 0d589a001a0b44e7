import numpy as np
import pytest

from mfn.inference.decode import decode, local_maxima
from mfn.structures.cells import (
    CELL_SIZE,
    IDENTITY_SIZE,
    SLICES,
    STRIDES,
    grid,
)
from mfn.structures.faces import Faces
from tests.helpers.faces import random_faces, write_cells

HEIGHT, WIDTH = 128, 192


def scene(faces: Faces, batch: int, image: int) -> np.ndarray:
    """Cells of a batch in which one picture holds these faces, each in the stride-8 cell that lies in its middle."""
    center, stride = grid(HEIGHT, WIDTH)
    cells = np.zeros((batch, len(center), CELL_SIZE), np.float32)
    cells[..., SLICES["score"]] = -9
    middle = ((faces.box[:, :2] + faces.box[:, 2:]) / 2 // 8).astype(int)
    rows = middle[:, 1] * (WIDTH // 8) + middle[:, 0]
    if len(faces):
        cells[image, rows] = write_cells(faces, center[rows], stride[rows])
    return cells


def test_decode_finds_what_was_written_and_drops_duplicates():
    one = random_faces(1)
    twice = Faces.concatenate([one, one.replace(score=np.array([0.6]), box=one.box + 8)])  # a neighboring cell predicts the same face
    found = decode(scene(twice, 3, 1), HEIGHT, WIDTH, iou=0.2)
    assert found.image.tolist() == [1]
    np.testing.assert_allclose(found.box, one.box, atol=1e-2)
    np.testing.assert_allclose(found.expression, one.expression, atol=1e-3)


def test_no_faces_and_no_pictures():
    nothing = decode(scene(random_faces(0), 2, 0), HEIGHT, WIDTH)
    assert len(nothing) == 0 and nothing.identity.shape == (0, IDENTITY_SIZE)
    assert len(decode(scene(random_faces(0), 0, 0), HEIGHT, WIDTH)) == 0


def test_a_batch_is_its_pictures():
    rng = np.random.default_rng(3)
    center, _ = grid(HEIGHT, WIDTH)
    cells = rng.normal(size=(3, len(center), CELL_SIZE)).astype(np.float32)
    together = decode(cells, HEIGHT, WIDTH, min_candidates=32)
    for i in range(3):
        alone = decode(cells[i : i + 1], HEIGHT, WIDTH, min_candidates=32)
        np.testing.assert_array_equal(together[together.image == i].box, alone.box)


def test_wrong_size_fails():
    with pytest.raises(ValueError, match="expected cells of shape"):
        decode(scene(random_faces(1), 1, 0), 128, 128)


def test_extreme_numbers_stay_finite():
    center, _ = grid(HEIGHT, WIDTH)
    cells = np.full((1, len(center), CELL_SIZE), 1e6, np.float32)
    found = decode(cells, HEIGHT, WIDTH)
    assert len(found) and all(np.isfinite(getattr(found, n)).all() for n in ("box", "scale", "rotation", "expression"))


def test_cells_of_one_face_are_averaged_by_score():
    center, stride = grid(HEIGHT, WIDTH)
    cells = np.full((1, len(center), CELL_SIZE), -8.0, np.float32)
    near = np.flatnonzero((stride == 16) & (np.abs(center - [88, 56]).max(1) < 17))
    faces = random_faces(1)[np.zeros(len(near), int)]
    faces = faces.replace(
        box=np.tile([60, 30, 110, 90], (len(near), 1)),
        score=np.linspace(0.9, 0.7, len(near)),
        expression=np.linspace(0.2, 0.8, len(near))[:, None].repeat(51, 1),
    )
    cells[0, near] = write_cells(faces, center[near], stride[near])
    (found,) = [decode(cells, HEIGHT, WIDTH)]
    assert len(found) == 1 and len(near) > 1
    assert found.score[0] == pytest.approx(0.9, abs=1e-4)
    np.testing.assert_allclose(found.rotation[0], faces.rotation[0], atol=1e-4)
    expected = np.average(faces.expression, axis=0, weights=faces.score)
    np.testing.assert_allclose(found.expression[0], expected, atol=1e-4)
    apart = faces.replace(score=np.r_[0.9, np.full(len(near) - 1, 0.4)])
    cells[0, near] = write_cells(apart, center[near], stride[near])
    np.testing.assert_allclose(decode(cells, HEIGHT, WIDTH).expression[0], 0.2, atol=1e-4)  # less than half as sure: not heard


def test_a_weak_face_survives_the_many_cells_of_strong_ones():
    """Thirty faces, nine cells each: places for thirty cells are enough, though the best thirty cells are of four faces."""
    height, width = 384, 480
    center, stride = grid(height, width)
    fine = np.flatnonzero(stride == STRIDES[0])
    cells = np.full((1, len(center), CELL_SIZE), -8.0, np.float32)
    middle = np.stack(np.meshgrid(np.arange(6), np.arange(5)), -1).reshape(-1, 2) * 72.0 + 52
    faces = random_faces(9).replace(box=np.tile([[0.0, 0, 1, 1]], (9, 1)))
    for number, at in enumerate(middle):
        near = fine[np.abs(center[fine] - at).max(1) <= 8]
        assert len(near) == 9
        score = np.full(9, 0.95 - 0.01 * number) - 0.005 * (center[near] != at).any(1)
        one = faces.replace(box=np.tile([[*(at - 16), *(at + 16)]], (9, 1)), score=score)
        cells[0, near] = write_cells(one, center[near], stride[near])
    found = decode(cells, height, width, min_candidates=1)
    assert len(found) == len(middle)
    np.testing.assert_allclose(found.score, 0.95 - 0.01 * np.arange(len(middle)), atol=1e-4)
    np.testing.assert_allclose(decode(cells, height, width).box, found.box, atol=1e-4)


def test_no_number_of_faces_is_cut_off():
    height, width = 960, 960
    center, stride = grid(height, width)
    cells = np.full((1, len(center), CELL_SIZE), -8.0, np.float32)
    rows = np.flatnonzero((stride == 8) & (center % 24 == 12).all(1))
    at = center[rows]
    cells[0, rows] = write_cells(
        random_faces(1)[np.zeros(len(rows), int)].replace(box=np.concatenate([at - 11, at + 11], 1)), at, stride[rows]
    )
    assert len(rows) == 1600 and len(decode(cells, height, width)) == 1600


def test_local_maxima_are_not_below_their_neighbors_of_the_same_stride():
    logit = np.random.default_rng(0).normal(size=(2, len(grid(80, 112)[0]))).astype(np.float32)
    told, start = local_maxima(logit, 80, 112), 0
    for stride in STRIDES:
        rows, columns = -(-80 // stride), -(-112 // stride)
        one, here = (part[:, start : start + rows * columns].reshape(2, rows, columns) for part in (logit, told))
        start += rows * columns
        for picture, y, x in np.ndindex(one.shape):
            around = one[picture, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            assert here[picture, y, x] == (one[picture, y, x] == around.max())
    assert start == told.shape[1]


def test_a_network_may_have_other_strides():
    strides = (8, 16, 32, 64, 128)
    center, stride = grid(256, 384, strides)
    cells = np.full((1, len(center), CELL_SIZE), -9, np.float32)
    row = np.flatnonzero(stride == 128)[[4]]
    face = random_faces(1).replace(box=np.array([[64, 10, 300, 250]]), score=np.array([0.9]))
    cells[:, row] = write_cells(face, center[row], stride[row])
    np.testing.assert_allclose(decode(cells, 256, 384, strides=strides).box, face.box, atol=1e-2)
    with pytest.raises(ValueError, match="expected cells of shape"):
        decode(cells, 256, 384)
