"""Prior of the fit's expression weights: near the pseudo-label model's scores, and correlated as they are on real faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from mfn.fitting.blendshape_calibration import values_by_prefix
from retarget.arkit import ANTAGONISTS, EXPRESSION_NAMES

CLOSED_EYE_SIGMA = 0.05  # standard deviation of the gaze of a closed eye
DOWN_OF_SCORE = 0.8  # eyeLookDown for a score of 1. In recorded takes of ARKit it reaches 0.55; the scores of photos reach 0.7
SHUT = (0.8, 1.0)  # eyeBlink from which the gaze of an eye begins to be unknown, and at which it is
LID_OF_GAZE = 0.75  # how far eyeLookDown moves the upper lid, relative to eyeBlink: 7.4 of 9.8 mm
SHARED_DEVIATION = 0.5  # share of a deviation from the scores that correlated shapes have in common

# Standard deviation of a weight from the score, by the beginning of its name; the first match counts. Large where landmarks show the
# shape, small where they do not.
_DEVIATION: Mapping[str, float] = {
    "eyeBlink": 0.12, "eyeLookDown": 0.2, "eyeLook": 0.25, "eyeSquint": 0.12, "eyeWide": 0.1,
    "jawOpen": 0.3, "jawForward": 0.05, "jaw": 0.06, "mouthClose": 0.1,
    "mouthSmile": 0.14, "mouthPress": 0.09, "mouthFrown": 0.09, "mouthShrug": 0.08, "mouthStretch": 0.14, "mouthUpperUp": 0.15,
    "mouthLowerDown": 0.2, "mouthLeft": 0.06, "mouthRight": 0.06, "mouthFunnel": 0.1, "mouthRoll": 0.12, "mouthDimple": 0.08,
    "mouthPucker": 0.15, "browDown": 0.09, "browInnerUp": 0.09, "brow": 0.11,
    "cheekPuff": 0.04, "cheekSquint": 0.08, "noseSneer": 0.08,
}  # fmt: skip
_DEFAULT_DEVIATION = 0.2


def jaw_coordinates(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return the matrix T that turns the fit's unknowns u into expression weights: weights = T u.

    u holds jawOpen - mouthClose in the place of jawOpen. With u >= 0 the lips can therefore not close further than the jaw opens.

    Returns:
        (51, 51).
    """
    matrix = torch.eye(len(EXPRESSION_NAMES), dtype=dtype)
    matrix[EXPRESSION_NAMES.index("jawOpen"), EXPRESSION_NAMES.index("mouthClose")] = 1.0
    return matrix


def cancel_antagonists(expression: torch.Tensor) -> torch.Tensor:
    """Subtract from both shapes of each pair in ANTAGONISTS what they have in common.

    Args:
        expression: (N, 51) in [0, 1].

    Returns:
        (N, 51): at most one shape of a pair is above 0. The points hardly move, because the two cancel each other.
    """
    out = expression.clone()
    for pair in ANTAGONISTS:
        columns = [EXPRESSION_NAMES.index(name) for name in pair]
        out[:, columns] -= out[:, columns].amin(1, keepdim=True)
    return out


def closed_eyes(scores: torch.Tensor) -> torch.Tensor:
    """Estimate how surely an eye is closed, so that its gaze is unknown.

    Args:
        scores: (N, 51) expression weights of the pseudo-label model.

    Returns:
        (N, 51) in [0, 1] for the eyeLook shapes of each eye; 0 for all other shapes.
    """
    out = torch.zeros_like(scores)
    for side in ("Left", "Right"):
        blink = scores[:, EXPRESSION_NAMES.index(f"eyeBlink{side}")]
        gaze = [i for i, n in enumerate(EXPRESSION_NAMES) if n.startswith("eyeLook") and n.endswith(side)]
        out[:, gaze] = ((blink - 0.5) / 0.4).clamp(0, 1)[:, None]
    return out


def expression_prior_precision(correlation: torch.Tensor | None, scale: float) -> torch.Tensor:
    """Return the inverse covariance of the deviation of expression weights from the scores.

    Args:
        correlation: (51, 51) how shapes vary together on real faces, so that brows rise together and smiles have two sides unless the
            landmarks show otherwise; None: they are independent.
        scale: factor of the table of standard deviations.

    Returns:
        (51, 51).
    """
    deviation = scale * torch.from_numpy(values_by_prefix(_DEVIATION, _DEFAULT_DEVIATION))
    identity = torch.eye(len(deviation))
    mixed = (1 - SHARED_DEVIATION) * identity + SHARED_DEVIATION * (identity if correlation is None else correlation)
    return torch.linalg.inv(deviation[:, None] * mixed * deviation)


class ShapePrior(NamedTuple):
    """Gaussian prior of the fit's S shape unknowns: identity, then expression in jaw coordinates.

    Attributes:
        precision: (S, S), the same for all faces.
        center: (N, S).
        gaze_precision: (N, S), added for the gaze of closed eyes.
    """

    precision: torch.Tensor
    center: torch.Tensor
    gaze_precision: torch.Tensor


def shape_prior(
    scores: torch.Tensor, expression_precision: torch.Tensor, identity_size: int, identity_precision: float
) -> ShapePrior:
    """Build the prior of all shape unknowns.

    Args:
        scores: (N, 51) expression weights of the pseudo-label model.
        expression_precision: (51, 51) from `expression_prior_precision`.
        identity_size: number of identity unknowns, whose center is 0.
        identity_precision: their 1 / variance.

    MediaPipe scores a closed eye as one that looks far down. The gaze of a closed eye is therefore held at 0.
    """
    jaw = jaw_coordinates(scores.dtype)
    closed = closed_eyes(scores)
    center = torch.linalg.solve(jaw, (scores * (1 - closed)).T).T
    no_identity = torch.zeros(len(scores), identity_size)
    precision = torch.block_diag(identity_precision * torch.eye(identity_size), jaw.T @ expression_precision @ jaw)
    gaze_precision = torch.cat([no_identity, closed / CLOSED_EYE_SIGMA**2], 1)
    return ShapePrior(precision, torch.cat([no_identity, center], 1), gaze_precision)


def even_eyes(expression: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Give both eyes of each face the same lids and the same direction of gaze: the mean of both, in which the nearer eye counts more.

    Args:
        expression: (N, 51) in [0, 1].
        rotation: (N, 3, 3) head to camera.

    Returns:
        (N, 51).

    Landmarks of the two lids of one photo often disagree: with light from one side, behind glasses, in turned faces. Of 18,200 faces of the
    packs, 9 % had lids that differ by more than 0.3. Of 60 whose lids differ by more than 0.4, which were looked at, none winked. A network
    that learns such labels sees winks where there are none. Real winks come from edited photos and rendered heads, whose labels are known.
    """
    farther = rotation[:, 2, 0]  # how much farther away the left eye is: the sine of the yaw
    left = (0.5 - farther / 1.2).clamp(0, 1)
    weight = torch.stack([left, 1 - left], 1)

    def columns(shape: str) -> list[int]:
        return [EXPRESSION_NAMES.index(f"{shape}{side}") for side in ("Left", "Right")]

    out = expression.clone()
    for shape in ("eyeBlink", "eyeLookDown", "eyeLookUp", "eyeSquint", "eyeWide"):
        out[:, columns(shape)] = (weight * expression[:, columns(shape)]).sum(1, keepdim=True)
    outward = expression[:, columns("eyeLookOut")] - expression[:, columns("eyeLookIn")]
    to_the_left = (weight * outward * outward.new_tensor([1.0, -1.0])).sum(1, keepdim=True)
    outward = to_the_left * outward.new_tensor([1.0, -1.0])
    out[:, columns("eyeLookOut")], out[:, columns("eyeLookIn")] = outward.clamp(min=0), (-outward).clamp(min=0)
    return out


def look_down(expression: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Give eyes that look down the gaze that the scores tell, and take as much from the blink as the gaze moves the lid.

    Args:
        expression: (N, 51) fitted weights in [0, 1].
        scores: (N, 51) expression weights of the pseudo-label model.

    Returns:
        (N, 51). The lids stay where they are, if the blink is large enough.

    A lid goes down with the gaze and hides the iris, whose points then stay too high. So the fit takes an eye that looks down for a
    half-shut one. The scores count less the more the eye is shut: a shut eye always gets a score for looking down.
    """
    out = expression.clone()
    low, high = SHUT
    for side in ("Left", "Right"):
        blink, down, up = (EXPRESSION_NAMES.index(f"{shape}{side}") for shape in ("eyeBlink", "eyeLookDown", "eyeLookUp"))
        shut = torch.maximum(scores[:, blink], expression[:, blink])
        open_share = 1 - ((shut - low) / (high - low)).clamp(0, 1)
        more = (DOWN_OF_SCORE * open_share * scores[:, down] - expression[:, down]).clamp(min=0)
        out[:, blink] = (expression[:, blink] - LID_OF_GAZE * more).clamp(min=0)
        out[:, down] = (expression[:, down] + more - expression[:, up]).clamp(min=0)
        out[:, up] = (expression[:, up] - expression[:, down] - more).clamp(min=0)
    return out
