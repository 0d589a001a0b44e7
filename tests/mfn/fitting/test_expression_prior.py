"""The prior keeps lips in order, ignores the gaze of closed eyes and couples what moves together."""

import pytest
import torch

from mfn.fitting.expression_prior import (
    closed_eyes,
    even_eyes,
    expression_prior_precision,
    jaw_coordinates,
    look_down,
    shape_prior,
)
from retarget.arkit import EXPRESSION_NAMES

INDEX = {name: k for k, name in enumerate(EXPRESSION_NAMES)}


def test_lips_cannot_close_further_than_the_jaw_opens() -> None:
    unknowns = torch.rand(20, 51, generator=torch.Generator().manual_seed(0))
    weights = unknowns @ jaw_coordinates().T
    difference = weights[:, INDEX["jawOpen"]] - weights[:, INDEX["mouthClose"]]
    assert torch.allclose(difference, unknowns[:, INDEX["jawOpen"]], atol=1e-6)
    others = [k for k in range(51) if k != INDEX["jawOpen"]]
    assert torch.equal(weights[:, others], unknowns[:, others])


def test_gaze_of_closed_eyes_is_unknown() -> None:
    scores = torch.zeros(2, 51)
    scores[0, INDEX["eyeBlinkLeft"]] = 1.0
    closed = closed_eyes(scores)
    gaze = [k for name, k in INDEX.items() if name.startswith("eyeLook") and name.endswith("Left")]
    assert (closed[0, gaze] == 1).all() and closed.sum() == len(gaze)


def test_correlated_shapes_deviate_together() -> None:
    correlation = torch.eye(51)
    left, right = INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]
    correlation[left, right] = correlation[right, left] = 0.9
    precision = expression_prior_precision(correlation, 1.0)
    assert torch.linalg.eigvalsh(precision.double()).min() > 0
    together, apart = torch.zeros(51), torch.zeros(51)
    together[[left, right]] = 0.1
    apart[left], apart[right] = 0.1, -0.1
    assert together @ precision @ together < apart @ precision @ apart


def test_scale_is_that_of_the_standard_deviation() -> None:
    once, twice = (expression_prior_precision(None, scale) for scale in (1.0, 2.0))
    assert torch.allclose(once, 4 * twice, rtol=1e-4)


def test_prior_of_all_unknowns() -> None:
    scores = torch.zeros(2, 51)
    scores[1, INDEX["jawOpen"]] = 0.4
    prior = shape_prior(scores, torch.eye(51), identity_size=3, identity_precision=4.0)
    assert prior.precision.shape == (54, 54) and prior.center.shape == prior.gaze_precision.shape == (2, 54)
    assert torch.equal(prior.precision[:3, :3], 4 * torch.eye(3)) and (prior.precision[:3, 3:] == 0).all()
    assert torch.allclose(prior.center[:, 3:] @ jaw_coordinates().T, scores)
    assert (prior.center[:, :3] == 0).all() and (prior.gaze_precision == 0).all()


def turned_left(sine: float) -> torch.Tensor:
    """Return the rotation of a head whose left eye is farther away by `sine`."""
    cosine = (1 - sine**2) ** 0.5
    return torch.tensor([[[cosine, 0, sine], [0, -1, 0], [sine, 0, -cosine]]])


def test_both_eyes_get_the_same_lids_and_gaze() -> None:
    weights = torch.zeros(1, 51)
    for name, value in {"eyeBlinkLeft": 0.2, "eyeBlinkRight": 0.6, "eyeLookOutLeft": 0.5, "eyeLookOutRight": 0.1, "jawOpen": 0.3}.items():
        weights[0, EXPRESSION_NAMES.index(name)] = value

    def read(rotation: torch.Tensor) -> dict[str, float]:
        return dict(zip(EXPRESSION_NAMES, even_eyes(weights, rotation)[0].tolist(), strict=True))

    front = read(turned_left(0.0))
    assert front["eyeBlinkLeft"] == pytest.approx(0.4) and front["eyeBlinkRight"] == pytest.approx(0.4)
    assert front["eyeLookOutLeft"] == pytest.approx(0.2) and front["eyeLookInRight"] == pytest.approx(0.2)
    assert front["eyeLookOutRight"] == 0 and front["eyeLookInLeft"] == 0 and front["jawOpen"] == pytest.approx(0.3)
    side = read(turned_left(0.9))
    assert side["eyeBlinkLeft"] == pytest.approx(0.6) and side["eyeBlinkRight"] == pytest.approx(0.6), "only the nearer, right eye counts"
    assert side["eyeLookOutRight"] == pytest.approx(0.1) and side["eyeLookInLeft"] == pytest.approx(0.1)


def test_eyes_that_look_down_are_told_from_shut_ones() -> None:
    fitted, scores = torch.zeros(3, 51), torch.zeros(3, 51)
    values = {  # fitted blink, down and up, scores of blink and down
        "half-shut by the fit": (0.6, 0.1, 0.0, 0.6, 0.6),
        "shut": (1.0, 0.0, 0.0, 1.0, 0.8),
        "ahead": (0.05, 0.0, 0.2, 0.0, 0.0),
    }
    for row, (blink, down, up, blink_score, down_score) in enumerate(values.values()):
        for side in ("Left", "Right"):
            for shape, value in (("eyeBlink", blink), ("eyeLookDown", down), ("eyeLookUp", up), ("jawOpen", 0.3)):
                fitted[row, INDEX.get(f"{shape}{side}", INDEX["jawOpen"])] = value
            scores[row, INDEX[f"eyeBlink{side}"]], scores[row, INDEX[f"eyeLookDown{side}"]] = blink_score, down_score
    told = look_down(fitted, scores)
    down, blink = told[:, INDEX["eyeLookDownLeft"]], told[:, INDEX["eyeBlinkRight"]]
    assert down[0] == pytest.approx(0.48) and blink[0] == pytest.approx(0.6 - 0.75 * 0.38), "the lid stays where it is"
    assert torch.allclose(told[1:], fitted[1:], atol=1e-6), "shut eyes and eyes that look ahead keep what was fitted"
    assert told[0, INDEX["jawOpen"]] == fitted[0, INDEX["jawOpen"]]


def test_looking_down_cancels_looking_up() -> None:
    fitted, scores = torch.zeros(1, 51), torch.zeros(1, 51)
    fitted[0, INDEX["eyeLookUpLeft"]] = 0.1
    scores[0, INDEX["eyeLookDownLeft"]] = 0.5
    told = look_down(fitted, scores)
    assert told[0, INDEX["eyeLookDownLeft"]] == pytest.approx(0.3) and told[0, INDEX["eyeLookUpLeft"]] == 0
