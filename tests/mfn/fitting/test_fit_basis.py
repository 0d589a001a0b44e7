"""The basis takes landmarks, weights and calibration from the head model."""

import numpy as np
import pytest
import torch

from mfn.fitting.fit_basis import FitOptions, basis_from_head_model
from mfn.structures.head_model import HeadModel
from mfn.structures.mediapipe_points import EYELIDS, INNER_LIPS, IRISES, LOWER_INNER_LIPS, OVAL
from retarget.arkit import EXPRESSION_NAMES


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def test_points_are_where_their_names_say(model: HeadModel) -> None:
    mean = model.landmark_basis("mediapipe478")[0]
    assert OVAL[18] == 152 and mean[152, 1] == mean[list(OVAL)].min(0)[1]
    assert mean[list(EYELIDS[16:]), 0].min() > 0 > mean[list(EYELIDS[:16]), 0].max()
    assert mean[list(IRISES[5:]), 0].min() > 0 > mean[list(IRISES[:5]), 0].max()
    blink = EXPRESSION_NAMES.index("eyeBlinkLeft")
    moved = np.linalg.norm(model.landmark_basis("mediapipe478")[2][blink], axis=1)
    assert moved[list(EYELIDS[16:])].max() > 0.005 > moved[list(EYELIDS[:16])].max()


def test_an_open_jaw_parts_the_inner_lips(model: HeadModel) -> None:
    """The lower lip's points go with the jaw, the upper lip's stay."""
    moved = model.landmark_basis("mediapipe478")[2][EXPRESSION_NAMES.index("jawOpen"), :, 1]
    upper = [i for i in INNER_LIPS if i not in LOWER_INNER_LIPS and i not in (78, 308)]
    assert moved[list(LOWER_INNER_LIPS[2:7])].max() < -0.025 and moved[upper].min() > -0.012


def test_plain_basis_is_the_head_model(model: HeadModel) -> None:
    basis = basis_from_head_model(model, learned=False)
    assert np.allclose(basis.mean, model.landmark_basis("mediapipe478").mean)
    assert basis.correlation is None and basis.identity_prior is None
    assert torch.allclose(basis.normal.norm(dim=1), torch.ones(478), atol=1e-5)


def test_learned_basis_differs_by_millimetres(model: HeadModel) -> None:
    plain, learned = basis_from_head_model(model, learned=False), basis_from_head_model(model)
    distance_mm = (learned.mean - plain.mean).norm(dim=1) * 1000
    assert 0.1 < distance_mm.mean() < 5 and learned.correlation is not None and learned.identity_prior is not None


def test_groups_of_landmarks_have_their_weights(model: HeadModel) -> None:
    basis = basis_from_head_model(model, FitOptions(eyelids=7.0, irises=0.5))
    assert (basis.weight[list(EYELIDS)] == 7).all() and (basis.weight[list(IRISES)] == 0.5).all()
    assert basis.contour.tolist() == list(OVAL)
