"""How far expression shapes move, against ARKit's reference face."""

import numpy as np
import pytest

from experiments.head_model.measure.expression_reach import figures_of, reach, reach_of_model, read_reference
from experiments.labels.expression_units import reach_of
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES


def test_the_reach_is_the_largest_displacement_in_parts_of_the_width():
    shapes = np.zeros((2, 3, 3))
    shapes[0, 1], shapes[1, 2] = (3, 4, 0), (0, 0, 2)
    points = np.array([[-5.0, 0, 0], [5, 9, 0]])
    assert reach(shapes, points).tolist() == [0.5, 0.2]


def test_rescaled_shapes_reach_as_far_as_arkit():
    found = dict(zip(EXPRESSION_NAMES, reach_of_model(HeadModel.load()), strict=True))
    for name, value in found.items():
        wanted = reach_of(name)
        assert wanted is None or value == pytest.approx(wanted, rel=0.03), name


def test_figures_are_relative_to_the_reference(tmp_path):
    path = tmp_path / "reference.txt"
    path.write_text("# shape mm reach\n" + "".join(f"{name} 9.5 0.05 +0.0 +1.0 +0.0 12\n" for name in EXPRESSION_NAMES))
    count = len(EXPRESSION_NAMES)
    figures = figures_of(read_reference(path), np.full(count, 0.1), np.full(count, 0.05))
    assert figures["shapes"]["jawOpen"] == {"arkit": 0.05, "ict": 2.0, "ours": 1.0}
    assert figures["mean_off_of_rescaled"] == {"ict": 1.0, "ours": 0.0}
    path.write_text("jawOpen 9.5 0.05\n")
    with pytest.raises(ValueError, match="expected a line for each of 51 shapes, got none for eyeBlinkLeft"):
        read_reference(path)
