"""The sizes of expression shapes against ARKit's."""

import numpy as np

from experiments.labels.expression_units import reach_of, unit_factors
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES

MODEL = HeadModel.load()


def test_left_and_right_have_the_same_factor():
    factors = dict(zip(EXPRESSION_NAMES, unit_factors(MODEL), strict=True))
    for name, factor in factors.items():
        if name.endswith("Left"):
            assert np.isclose(factor, factors[name.replace("Left", "Right")], rtol=0.02)


def test_shapes_without_an_entry_keep_their_size():
    assert reach_of("eyeBlinkLeft") is None and reach_of("jawOpen") is None and reach_of("browDownRight") == 0.066
    assert unit_factors(MODEL)[EXPRESSION_NAMES.index("eyeBlinkLeft")] == 1


def test_the_factor_brings_a_shape_to_its_reach():
    i = EXPRESSION_NAMES.index("browInnerUp")
    width = np.ptp(MODEL.landmark_basis("mediapipe478").mean[:, 0])
    longest = np.linalg.norm(MODEL.expression_basis[i], axis=1).max()
    assert np.isclose(unit_factors(MODEL)[i] * longest / width, 0.085)
