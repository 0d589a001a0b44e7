"""The dense pass over the picture and the reader of crops."""

import pytest

torch = pytest.importorskip("torch")
from mfn.models.readers.face_reader import FaceReader  # noqa: E402
from mfn.models.single_shot import SingleShot, Stem  # noqa: E402
from mfn.structures.cells import CELL_SIZE, grid  # noqa: E402


def tiny_single_shot() -> SingleShot:
    torch.manual_seed(0)
    return SingleShot((8, 8, 8, 8, 8), (0, 0, 0, 0, 0), 8, (8, 8)).eval()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (16, 16)])
def test_one_cell_for_each_place_of_the_grid(height, width):
    cells = tiny_single_shot()(torch.rand(2, 3, height, width) * 255)
    assert cells.shape == (2, len(grid(height, width)[0]), CELL_SIZE) and torch.isfinite(cells).all()


def test_pictures_do_not_influence_each_other():
    network, pictures = tiny_single_shot(), torch.rand(3, 3, 32, 48) * 255
    together = network(pictures)
    alone = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(together, alone)


def test_the_stem_is_space_to_depth_of_rows_of_pixels():
    stem, picture = Stem(5).eval(), torch.randint(0, 256, (2, 3, 8, 16)).float()
    rows = picture.permute(0, 2, 3, 1).reshape(2, 8, 4, 12)  # bytes of a picture (B, H, W, 3), four pixels as one
    torch.testing.assert_close(stem(picture), stem.packed(rows.permute(0, 3, 1, 2)))


def test_before_training_there_is_no_face():
    cells = tiny_single_shot()(torch.rand(1, 3, 64, 64) * 255)
    assert cells[..., 0].sigmoid().max() < 0.1


def test_the_reader_predicts_a_cell_for_each_crop():
    torch.manual_seed(0)
    reader = FaceReader((8, 8, 8, 8), (0, 0, 0, 0), 8, 8).eval()
    crops = torch.rand(3, 3, reader.crop_size_px, reader.crop_size_px) * 255
    cells = reader(crops)
    assert cells.shape == (3, CELL_SIZE)
    torch.testing.assert_close(reader(crops[1:2]), cells[1:2])
