"""The multi-face network: its cells lie on the grid, and the mirrored picture is averaged."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
import torch.nn.functional as F  # noqa: E402

from mfn.structures.cells import (  # noqa: E402
    CELL_SIZE,
    PAD_GRAY,
    SLICES,
    STRIDES,
    grid,  # noqa: E402
)
from mfn.structures.flip import cell_flip  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from tests.helpers.training import tiny_mfn  # noqa: E402

MODEL = HeadModel.load()

@pytest.mark.parametrize("block", ["conv", "fire"])
@pytest.mark.parametrize("size", [(64, 128), (192, 64)])
def test_network_gives_a_row_a_cell(block, size):
    cells = tiny_mfn(block).eval()(torch.zeros(2, 3, *size))
    assert cells.shape == (2, len(grid(*size)[0]), CELL_SIZE)
    assert cells[..., SLICES["score"]].sigmoid().max() < 0.05, "an untrained network sees no faces"


def test_cells_stand_where_the_grid_says():
    """What changes when one corner of the picture changes must be cells near that corner."""
    network = tiny_mfn().eval()
    picture = torch.zeros(1, 3, 256, 256)
    other = picture.clone()
    other[..., 192:, :64] = 255  # bottom left
    moved = (network(other) - network(picture)).abs().sum(-1)[0]
    center, stride = grid(256, 256)
    fine = stride == 8
    x, y = center[fine][int(moved[fine].argmax())]
    assert x < 128 < y


@pytest.mark.parametrize(("height", "width"), [(16, 16), (80, 208), (96, 304), (176, 32)])
def test_every_size_has_the_cells_of_the_grid(height, width):
    network = tiny_mfn().eval()
    picture = torch.zeros(1, 3, height, width)
    with torch.no_grad():
        cells = network(picture)
        picture[..., -16:, -16:] = 255  # bottom right
        moved = (network(picture) - cells).abs().sum(-1)[0]
    center, stride = grid(height, width)
    assert cells.shape[:2] == (1, len(center))
    x, y = center[stride == 8][int(moved[stride == 8].argmax())]
    assert x > width - 32 and y > height - 32


def test_large_faces_are_read_once_more_in_mirror_half_a_cell_further():
    from mfn.models.export.to_onnx import enable_mirror_tta

    network = tiny_mfn().eval()
    for out in (network.coarse.out_box, network.coarse.out_pose, network.coarse.out_identity, network.coarse.out_expression):
        out.weight.data *= 100  # an untrained one says nearly nothing
    picture, gray = torch.rand(1, 3, 128, 192) * 255, float(PAD_GRAY)
    largest = grid(128, 192)[1] == STRIDES[-1]
    order, sign = cell_flip(HeadModel.load().identity_mirror)

    def cells_of(padded):  # of the largest stride, of a picture with one cell more each way
        return network(padded)[0].numpy()[grid(*padded.shape[2:])[1] == STRIDES[-1]].reshape(3, 4, -1)

    with torch.no_grad():
        once = network(picture)[0].numpy()
        seen = cells_of(F.pad(picture, (0, 64, 0, 64), value=gray))[:2, :3]
        four = cells_of(F.pad(picture.flip(3), (32, 32, 32, 32), value=gray))[:, ::-1][..., order] * sign
        enable_mirror_tta(network)
        twice = network(picture)[0].numpy()
    np.testing.assert_array_equal(once[~largest], twice[~largest])
    between = (four[1:, 1:] + four[1:, :-1] + four[:-1, 1:] + four[:-1, :-1]) / 4
    assert np.abs(between - seen).max() > 1e-3
    np.testing.assert_allclose(twice[largest].reshape(2, 3, -1), (seen + between) / 2, atol=1e-5)
