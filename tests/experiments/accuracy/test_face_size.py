"""Faces laid at a wanted size take their labels with them; only networks that find half of the faces are compared."""

import numpy as np
import pytest

from experiments.accuracy.face_size import (
    NETWORKS,
    SIDE_PX,
    Laid,
    Sample,
    compare,
    correlation,
    lay,
    lay_all,
    mean,
    table,
)
from mfn.structures.head_model import HeadModel
from tests.helpers.experiments import one_face

MODEL = HeadModel.load()


@pytest.mark.parametrize("size", [16, 48, 200])
@pytest.mark.parametrize("alone", [True, False])
def test_labels_move_with_the_picture(size, alone):
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[80:180, 150:250] = 255  # the "face"
    sample = Sample(picture, one_face((150, 80, 250, 180)))
    ground = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8) if alone else None
    laid = lay(sample, size, np.array([0.3, 0.8]), ground)
    assert laid.picture.shape == (SIDE_PX, SIDE_PX, 3)
    x1, y1, x2, y2 = laid.face.box[0]
    assert np.sqrt((x2 - x1) * (y2 - y1)) == pytest.approx(size, rel=0.03)
    inside = laid.picture[int(np.ceil(y1)) : int(y2), int(np.ceil(x1)) : int(x2)]
    assert inside.min() > 127
    white = (laid.picture[..., 0] > 127).sum()
    assert white == pytest.approx(size**2, rel=0.15) if alone or size == 200 else white > 3 * size**2
    assert laid.face.scale[0] == pytest.approx(10 * size, rel=0.03)
    np.testing.assert_allclose(laid.face.center[0], [(x1 + x2) / 2, (y1 + y2) / 2], atol=0.01)


class Exact:
    """Stand in for `Networks`: large finds every face, SFN none."""

    def read(self, sample):
        return dict(zip(NETWORKS, (sample.face, sample.face[[]]), strict=True))


def test_all_sizes_are_laid_and_read():
    sample = Sample(np.full((200, 200, 3), 80, np.uint8), one_face((50, 50, 150, 150)))
    laid = lay_all([sample, sample], Exact(), None)
    assert isinstance(laid, Laid) and [len(faces) for faces in laid.target.values()] == [2] * 9
    assert len(laid.sheet) == 1 and len(laid.sheet[0]) == 9
    row = compare(laid.target[16], laid.predicted[16], MODEL)
    assert (row["large"]["recall"], row["SFN"]["recall"], row["compared"]) == (1.0, 0.0, 2)
    assert "| 16 px | 2 of 2 | 1 / 0 |" in table("drawn heads", {"16 px": row})


def test_only_networks_that_find_half_are_compared():
    target = [one_face((0, 0, 10, 10))] * 4
    none = target[0][[]]
    predicted = {"large": [*target[:3], none], "SFN": [target[0], none, none, none]}
    row = compare(target, predicted, MODEL)
    assert (row["compared"], row["large"]["recall"], row["SFN"]["recall"]) == (3, 0.75, 0.25)
    assert row["large"]["error"] == 0 and row["large"]["nme"] == 0 and row["SFN"]["error"] is None
    assert compare(target, {"large": [none] * 4}, MODEL)["error_of_median"] is None


def test_correlation_needs_something_that_varies():
    x = np.arange(9.0)
    assert correlation(x, -2 * x) == -1 and correlation(x[:5], x[:5]) is None and correlation(x, 0 * x) is None
    assert mean(np.zeros(0)) is None
