"""Faces laid at a wanted size take their truth with them; what is compared is what all found."""


import numpy as np
import pytest

from experiments.accuracy.face_size import SIDE, Case, correlation, figures, lay
from experiments.speed.tiles import CELL, strewn
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel

MODEL = HeadModel.load()


def one_face(box: tuple[float, float, float, float]) -> Faces:
    return Faces(
        image=np.zeros(1, np.int32),
        box=np.array([box], np.float32),
        score=np.ones(1, np.float32),
        rotation=np.diag([1.0, -1.0, -1.0]).astype(np.float32)[None],
        scale=np.array([1000.0], np.float32),
        center=np.array([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]], np.float32),
        identity=np.zeros((1, MODEL.identity_size), np.float32),
        expression=np.zeros((1, 51), np.float32),
        track=np.full(1, -1, np.int32),
    )


@pytest.mark.parametrize("size", [16, 48, 200])
@pytest.mark.parametrize("alone", [True, False])
def test_truth_moves_with_the_picture(size, alone):
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[80:180, 150:250] = 255  # the "face"
    case = Case(picture, one_face((150, 80, 250, 180)))
    ground = np.zeros((SIDE, SIDE, 3), np.uint8) if alone else None
    laid = lay(case, size, np.array([0.3, 0.8]), ground)
    assert laid.picture.shape == (SIDE, SIDE, 3)
    x1, y1, x2, y2 = laid.face.box[0]
    assert np.sqrt((x2 - x1) * (y2 - y1)) == pytest.approx(size, rel=0.03)
    inside = laid.picture[int(np.ceil(y1)) : int(y2), int(np.ceil(x1)) : int(x2)]
    assert inside.min() > 127
    white = (laid.picture[..., 0] > 127).sum()
    assert white == pytest.approx(size**2, rel=0.15) if alone or size == 200 else white > 3 * size**2
    assert laid.face.scale[0] == pytest.approx(10 * size, rel=0.03)
    np.testing.assert_allclose(laid.face.center[0], [(x1 + x2) / 2, (y1 + y2) / 2], atol=0.01)


def test_only_networks_that_find_half_are_compared():
    true = [one_face((0, 0, 10, 10))] * 4
    none = true[0][[]]
    told = {"large": [*true[:3], none], "small": [true[0], none, none, none]}
    row = figures(true, told, MODEL)
    assert (row["compared"], row["large"]["recall"], row["small"]["recall"]) == (3, 0.75, 0.25)
    assert row["large"]["error"] == 0 and row["large"]["nme"] == 0 and row["small"]["error"] is None
    assert figures(true, {"large": [none] * 4}, MODEL)["error_of_median"] is None


def test_correlation_needs_something_that_varies():
    x = np.arange(9.0)
    assert correlation(x, -2 * x) == -1 and correlation(x[:5], x[:5]) is None and correlation(x, 0 * x) is None


def test_fewer_faces_are_a_part_of_the_others():
    crops = [np.full((20, 20, 3), 255, np.uint8)]
    few, many = strewn(4 * CELL, 3 * CELL, 2, crops), strewn(4 * CELL, 3 * CELL, 9, crops)
    assert 0 < (few == 255).sum() < (many == 255).sum() and (many[few == 255] == 255).all()
    with pytest.raises(ValueError, match="at most 12"):
        strewn(4 * CELL, 3 * CELL, 13, crops)
