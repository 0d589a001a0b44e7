"""What the fit believes of expressions before it sees a point: near the teacher's scores, and moving together as faces do."""

from __future__ import annotations

import torch

from mfn.fitting.blendshape_calibration import values_by_prefix
from retarget.arkit import EXPRESSION_NAMES

TOGETHER = 0.5  # share of a deviation from the teacher that shapes have in common
# How far a weight may stray from the teacher's (standard deviation): wide where landmarks show the shape, narrow where
# they do not. The first key that begins a name counts.
_PRIOR_SIGMA: dict[str, float] = {
    "eyeBlink": 0.12, "eyeLook": 0.25, "eyeSquint": 0.12, "eyeWide": 0.1,
    "jawOpen": 0.3, "jawForward": 0.06, "jaw": 0.1, "mouthClose": 0.1, "mouthSmile": 0.25, "mouth": 0.2,
    "brow": 0.25, "cheekPuff": 0.04, "cheekSquint": 0.08, "noseSneer": 0.06,
}  # fmt: skip


def jaw_change(like: torch.Tensor) -> torch.Tensor:
    """T (51, 51) with weights = T u: u holds jawOpen - mouthClose in jawOpen's place, so u >= 0 keeps them in order."""
    change = torch.eye(len(EXPRESSION_NAMES), dtype=like.dtype)
    change[EXPRESSION_NAMES.index("jawOpen"), EXPRESSION_NAMES.index("mouthClose")] = 1.0
    return change


def shut_eyes(teacher: torch.Tensor) -> torch.Tensor:
    """How surely the eye of each eyeLook shape is shut, so that its gaze is unknown: (N, 51) in [0, 1]; other shapes 0."""
    out = torch.zeros_like(teacher)
    for side in ("Left", "Right"):
        blink = teacher[:, EXPRESSION_NAMES.index(f"eyeBlink{side}")]
        gaze = [i for i, n in enumerate(EXPRESSION_NAMES) if n.startswith("eyeLook") and n.endswith(side)]
        out[:, gaze] = ((blink - 0.5) / 0.4).clamp(0, 1)[:, None]
    return out


def expression_stiffness(correlation: torch.Tensor, scale: float) -> torch.Tensor:
    """Precision (51, 51) of the weights' distance from the teacher's scores.

    correlation (51, 51): how the shapes go together on real faces (learned from the teacher's scores of the packs), so that brows rise
    together and a smile has two sides unless the points say otherwise; scale: times the table of standard deviations.
    """
    sigma = scale * torch.from_numpy(values_by_prefix(_PRIOR_SIGMA, 0.2))
    mixed = (1 - TOGETHER) * torch.eye(len(sigma)) + TOGETHER * correlation
    return torch.linalg.inv(sigma[:, None] * mixed * sigma)
