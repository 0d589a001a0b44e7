"""Shapes that move the same points in opposite directions."""

import numpy as np

from mfn.inference.readers.antagonists import cancel_antagonists
from retarget.arkit import ANTAGONISTS, EXPRESSION_NAMES
from tests.helpers.faces import random_faces


def test_one_shape_of_a_pair_remains_with_the_difference():
    faces = random_faces(4)
    before, after = faces.expression, cancel_antagonists(faces).expression
    changed = set()
    for pair in ANTAGONISTS:
        a, b = (EXPRESSION_NAMES.index(name) for name in pair)
        assert (np.minimum(after[:, a], after[:, b]) == 0).all()
        np.testing.assert_allclose(after[:, a] - after[:, b], before[:, a] - before[:, b], atol=1e-6)
        changed |= {a, b}
    others = np.setdiff1d(np.arange(51), sorted(changed))
    np.testing.assert_array_equal(after[:, others], before[:, others])
