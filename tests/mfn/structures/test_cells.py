"""The output vector of a cell: its layout, and encoding and decoding as inverses."""

import numpy as np
import pytest

from mfn.structures.cells import BRANCHES, CELL_SIZE, FIELDS, SLICES, STRIDES, grid, read_cells
from tests.helpers.faces import random_faces, write_cells

HEIGHT, WIDTH = 128, 192


def test_layout_is_one_table():
    assert CELL_SIZE == sum(f.size for f in FIELDS.values()) == sum(BRANCHES.values())
    assert [s.start for s in SLICES.values()] == np.cumsum([0, *[f.size for f in FIELDS.values()]])[:-1].tolist()
    order = list(dict.fromkeys(f.branch for f in FIELDS.values()))
    assert order == list(BRANCHES), "a branch's fields lie side by side"


def test_grid_counts_every_stride():
    center, stride = grid(HEIGHT, WIDTH)
    assert [(stride == s).sum() for s in STRIDES] == [HEIGHT * WIDTH // s**2 for s in STRIDES]
    assert center[0].tolist() == [4, 4] and center[1].tolist() == [12, 4]  # row-major, x first
    _, stride = grid(HEIGHT, WIDTH, (8, 128))
    assert [(stride == s).sum() for s in (8, 128)] == [HEIGHT * WIDTH // 64, 2]
    with pytest.raises(ValueError, match="divisible by 16"):
        grid(100, 128)


@pytest.mark.parametrize("stride", STRIDES)
def test_written_cells_are_read_back(stride):
    faces = random_faces(9)
    where = np.full(9, stride, np.float32)
    center = np.random.default_rng(1).uniform(0, 100, (9, 2)).astype(np.float32)
    values = read_cells(write_cells(faces, center, where), center, where)
    np.testing.assert_allclose(values.pop("rows"), faces.rotation[:, :2].reshape(-1, 6), atol=1e-5)
    for name, value in values.items():
        np.testing.assert_allclose(value, getattr(faces, name), rtol=2e-4, atol=2e-3, err_msg=name)


def test_torch_reads_the_same():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    raw, center, stride = rng.normal(size=(5, CELL_SIZE)), rng.uniform(0, 90, (5, 2)), np.full(5, 16.0)
    ours = read_cells(raw, center, stride)
    theirs = read_cells(*(torch.from_numpy(x) for x in (raw, center, stride)), torch)
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name].numpy(), rtol=1e-6, atol=1e-6, err_msg=name)
