"""Learn on real faces how MediaPipe's landmarks relate to our head model: mfn/weights/teacher.npz.

    python -m experiments.labels.learn_calibration --data ../shared/data

The fitter uses this file. It holds `offset (478, 3)` meters: how far on the head MediaPipe's points of a face at rest lie
from ours, the same on both sides; `closed (2, 478, 3)` meters: what eyeBlinkLeft and eyeBlinkRight must add so that the
eyelids' points lie at weight 1 where MediaPipe puts them on closed eyes; `correlation (51, 51)` of its expressions; and
`mean_mm (478, 3)`: the head model's own points, which say to which model the file belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from experiments.common import make_parser
from experiments.labels.bench import shape_indices
from experiments.labels.landmark_packs import read_landmark_pack
from mfn.fitting.annotation_pack import save_arrays
from mfn.fitting.blendshape_calibration import CALIBRATION_FILE
from mfn.fitting.fit_basis import FitBasis, FitOptions, basis_from_head_model
from mfn.fitting.fitter import fit, fitted_points
from mfn.structures.flip import EXPRESSION_FLIP, MEDIAPIPE_FLIP
from mfn.structures.head_model import HeadModel
from mfn.structures.mediapipe_points import EYELIDS
from retarget.arkit import EXPRESSION_NAMES

SOURCES = ("lfw", "youtube", "expressions")
MIRROR_X = torch.tensor([-1.0, 1.0, 1.0])
IN_PLANE = torch.tensor([1.0, 1.0, 0.0])
MAX_FRONTAL_COSINE = -0.94  # a face with R[2, 2] below it looks nearly straight into the camera
MIN_SHUT = 0.98  # calibrated blink of a closed eye (checked with experiments.inspect.labels_sheet --pick eyeBlinkLeft)
MAX_MOUTH, MAX_BROWS = 0.6, 0.4  # sums of weights of a face at rest
BLINKS = shape_indices("eyeBlinkLeft", "eyeBlinkRight")


class Landmarks(NamedTuple):
    """Hold landmarks (F, 478, 3) px and calibrated expressions (F, 51) of faces."""

    points: torch.Tensor
    expression: torch.Tensor


def join(parts: Sequence[Landmarks]) -> Landmarks:
    """Concatenate faces."""
    return Landmarks(*(torch.cat(list(part)) for part in zip(*parts, strict=True)))


def is_at_rest(expression: torch.Tensor) -> torch.Tensor:
    """Return True (F,) for faces (F, 51) whose mouth and brows are at rest."""
    mouth = [i for i, name in enumerate(EXPRESSION_NAMES) if name.startswith(("mouth", "jaw"))]
    brows = [i for i, name in enumerate(EXPRESSION_NAMES) if name.startswith("brow")]
    return (expression[:, mouth].sum(1) < MAX_MOUTH) & (expression[:, brows].sum(1) < MAX_BROWS)


def is_shut(expression: torch.Tensor) -> torch.Tensor:
    """Return True (F,) for faces (F, 51) whose eyes are both closed."""
    return (expression[:, BLINKS] > MIN_SHUT).all(1)


def residual_on_head(points: torch.Tensor, reached: torch.Tensor, rotation: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Convert residuals in the picture to the head's frame.

    Args:
        points: (N, K, 3) landmarks in px.
        reached: (N, K, 2) fitted points in px.
        rotation: (N, 3, 3) head to camera.
        scale: (N,) px per meter.

    Returns:
        (N, K, 3) meters, in the plane of the picture.
    """
    return ((points[..., :2] - reached) / scale[:, None, None]) @ rotation[:, :2]


def symmetric(offset: torch.Tensor) -> torch.Tensor:
    """Return the mean of offsets (478, 3) on the head and their mirror image."""
    return (offset + offset[MEDIAPIPE_FLIP] * MIRROR_X) / 2


def learn_offsets(faces: Landmarks, basis: FitBasis, rounds: int = 3) -> torch.Tensor:
    """Learn where MediaPipe puts each point of a face at rest.

    Args:
        faces: Faces at rest.
        basis: The head model's points.
        rounds: Number of times that the faces are fitted with the offsets of the round before.

    Returns:
        (478, 3) meters to add to the basis' mean: the median over nearly frontal faces, the same on both sides.

    The expression is held at MediaPipe's. Otherwise the fit would explain part of the offsets with a brow or a jaw, and
    every brow at rest would be fitted as lowered.
    """
    total = (basis.mean[MEDIAPIPE_FLIP] * MIRROR_X - basis.mean) / 2  # the asymmetry of the points is noise
    for _ in tqdm(range(rounds), desc="offsets"):
        moved = replace(basis, mean=basis.mean + total)
        found = fit(faces.points, faces.expression, moved, FitOptions(expression_deviation=0.2))
        calm = replace(found, expression=faces.expression)
        on_head = residual_on_head(faces.points, fitted_points(moved, calm), found.rotation, found.scale)
        median = on_head[found.rotation[:, 2, 2] < MAX_FRONTAL_COSINE].median(0).values * IN_PLANE
        total += symmetric(median)
    return total


def learn_closed(faces: Landmarks, basis: FitBasis, rounds: int = 2) -> torch.Tensor:
    """Learn what a blink of weight 1 lacks to bring the eyelids where MediaPipe puts them on closed eyes.

    Returns:
        (2, 478, 3) meters: for eyeBlinkLeft and for eyeBlinkRight.
    """
    closed = torch.zeros(2, *basis.mean.shape)
    for _ in tqdm(range(rounds), desc="closed eyes"):
        expression = basis.expression.clone()
        for blink, part in zip(BLINKS, closed, strict=True):
            expression[blink] += part
        moved = replace(basis, expression=expression)
        found = fit(faces.points, faces.expression, moved)
        shut = is_shut(faces.expression) & (found.rotation[:, 2, 2] < MAX_FRONTAL_COSINE)
        weights = found.expression.clone()
        weights[:, BLINKS] = 1.0
        blinking = replace(found, expression=weights)[shut]
        reached = fitted_points(moved, blinking)
        on_head = residual_on_head(faces.points[shut], reached, blinking.rotation, blinking.scale)
        both = symmetric(on_head.median(0).values * IN_PLANE)
        left, right = list(EYELIDS[16:]), list(EYELIDS[:16])
        closed[0, left] += both[left]
        closed[1, right] += both[right]
    return closed


def learn_correlation(expression: torch.Tensor) -> torch.Tensor:
    """Return the correlation (51, 51) of expressions (F, 51) and their mirror images.

    A shape that never moves is correlated with itself alone.
    """
    both = torch.cat([expression, expression[:, EXPRESSION_FLIP]])
    moves = (both.std(0) > 0.01).float()
    noise = torch.randn(both.shape, generator=torch.Generator().manual_seed(0))
    correlation = torch.corrcoef((both + 1e-4 * noise).T) * moves[:, None] * moves
    correlation.fill_diagonal_(1.0)
    return correlation


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/ and mediapipe_blendshapes.txt")
    parser.add_argument("--out", type=Path, default=CALIBRATION_FILE, help="the .npz file")
    parser.add_argument("--count", type=int, default=150, help="faces of each pack to learn from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    basis = basis_from_head_model(HeadModel.load(), learned=False)
    packs = [Landmarks(*read_landmark_pack(options.data, source)[2:]) for source in SOURCES]
    resting = [Landmarks(*(part[is_at_rest(pack.expression)][: options.count] for part in pack)) for pack in packs]
    offset = learn_offsets(join(resting), basis)
    mean_mm = (basis.mean * 1000).numpy()
    basis = replace(basis, mean=basis.mean + offset)
    shut = join([Landmarks(*(part[is_shut(pack.expression)] for part in pack)) for pack in packs])
    closed = learn_closed(shut, basis)
    correlation = learn_correlation(torch.cat([pack.expression for pack in packs]))
    arrays: dict[str, Any] = {
        "offset": offset.numpy().astype(np.float32),
        "closed": closed.numpy().astype(np.float32),
        "correlation": correlation.numpy().astype(np.float16),
        "mean_mm": mean_mm,
    }
    save_arrays(options.out, arrays)
    print(f"{options.out}: offsets up to {offset.norm(dim=1).max() * 1000:.1f} mm, {len(shut.points)} faces with closed eyes")
    upper = 386  # of the left eye's upper lid
    blink_mm, added_mm = basis.expression[BLINKS[0], upper] * 1000, closed[0, upper] * 1000
    print("the upper lid's blink", blink_mm.tolist(), "+", added_mm.tolist(), "mm")


if __name__ == "__main__":
    main()
