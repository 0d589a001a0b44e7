"""What is learned about the landmark teacher on real faces: mfn/weights/teacher.npz, which the fitter uses.

    python -m experiments.labels.learn_teacher --data ../shared/data

`offset (478, 3)` metres: where on the head the teacher puts each point of a resting face, alike on both sides; `closed (2, 478, 3)` metres:
what eyeBlinkLeft and eyeBlinkRight must add so that at weight 1 the lids' points lie where the teacher puts them on shut eyes;
`correlation (51, 51)`: how its scores go together; `mean_mm (478, 3)`: the head model's own points, which say to what model all
this belongs.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from experiments.labels.fit import read_pack
from mfn.fitting.blendshape_calibration import CALIBRATION_FILE
from mfn.fitting.fitter import FitBasis, FitOptions, basis_from_head_model, fit, fitted_points
from mfn.structures.flip import EXPRESSION_FLIP, MEDIAPIPE_FLIP
from mfn.structures.head_model import HeadModel
from mfn.structures.mediapipe_points import EYELIDS
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write

SOURCES = ("lfw", "youtube", "utkface", "expressions")
FLIP = torch.tensor([-1.0, 1.0, 1.0])
IN_PLANE = torch.tensor([1.0, 1.0, 0.0])
FRONTAL = -0.94  # R[2, 2] of a face that looks this near to the camera
SHUT = 0.98  # calibrated score from which on an eye is shut (looked at: experiments/inspect/labels_sheet.py --pick eyeBlinkLeft)

Faces = tuple[torch.Tensor, torch.Tensor]


def at_rest(teacher: torch.Tensor) -> torch.Tensor:
    """Faces whose mouth and brows the teacher sees at rest. teacher (F, 51) -> (F,) bool."""
    mouth = [i for i, n in enumerate(EXPRESSION_NAMES) if n.startswith(("mouth", "jaw"))]
    brows = [i for i, n in enumerate(EXPRESSION_NAMES) if n.startswith("brow")]
    return (teacher[:, mouth].sum(1) < 0.6) & (teacher[:, brows].sum(1) < 0.4)


def residual_on_head(points: torch.Tensor, reached: torch.Tensor, rotation: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Picture px that a fit misses (N, K, 2) as metres on the head (N, K, 3), in the picture's plane."""
    return ((points[..., :2] - reached) / scale[:, None, None]) @ rotation[:, :2]


def learn_offsets(faces: Faces, basis: FitBasis, rounds: int = 3) -> torch.Tensor:
    """Where the teacher puts each point of faces at rest: (478, 3) metres to add to the basis' mean.

    Their expression is held at the teacher's; the median over near-frontal faces, alike on both sides. Without it every resting brow would
    come out lowered.
    """
    points, teacher = faces
    total = (basis.mean[MEDIAPIPE_FLIP] * FLIP - basis.mean) / 2  # the points' own asymmetry is noise
    for _ in tqdm(range(rounds), desc="where the points lie"):
        moved = replace(basis, mean=basis.mean + total)
        found = fit(points, teacher, moved, FitOptions(prior_sigma=0.2))
        calm = replace(found, expression=teacher)  # what the fit put into a brow or a jaw belongs to the points
        on_head = residual_on_head(points, fitted_points(moved, calm), found.rotation, found.scale)
        median = on_head[found.rotation[:, 2, 2] < FRONTAL].median(0).values * IN_PLANE
        total += (median + median[MEDIAPIPE_FLIP] * FLIP) / 2
    return total


def learn_closed(faces: Faces, basis: FitBasis, rounds: int = 2) -> torch.Tensor:
    """What a blink of weight 1 lacks to bring the lids where the teacher sees them on shut eyes: (2, 478, 3) metres."""
    points, teacher = faces
    out = torch.zeros(2, *basis.mean.shape)
    for _ in tqdm(range(rounds), desc="how lids close"):
        expression = basis.expression.clone()
        blinks = [EXPRESSION_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]
        for blink, part in zip(blinks, out):
            expression[blink] += part
        moved = replace(basis, expression=expression)
        found = fit(points, teacher, moved)
        shut = (teacher[:, blinks] > SHUT).all(1) & (found.rotation[:, 2, 2] < FRONTAL)
        weights = found.expression.clone()
        weights[:, blinks] = 1.0
        closed = replace(found, expression=weights)[shut]
        on_head = residual_on_head(points[shut], fitted_points(moved, closed), closed.rotation, closed.scale)
        median = on_head.median(0).values * IN_PLANE
        both = (median + median[MEDIAPIPE_FLIP] * FLIP) / 2
        left, right = list(EYELIDS[16:]), list(EYELIDS[:16])
        out[0, left] += both[left]
        out[1, right] += both[right]
    return out


def learn_correlation(teacher: torch.Tensor) -> torch.Tensor:
    """How expressions go together (51, 51), the same for a face and its mirror image; shapes that never move stand alone."""
    both = torch.cat([teacher, teacher[:, EXPRESSION_FLIP]])
    moves = (both.std(0) > 0.01).float()
    correlation = torch.corrcoef((both + 1e-4 * torch.randn(both.shape, generator=torch.Generator().manual_seed(0))).T)
    correlation = correlation * moves[:, None] * moves
    correlation.fill_diagonal_(1.0)
    return correlation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/ and mediapipe_blendshapes.txt")
    parser.add_argument("--out", type=Path, default=CALIBRATION_FILE)
    parser.add_argument("--each", type=int, default=150, help="faces of a pack to learn from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    basis = basis_from_head_model(HeadModel.load(), learned=False)
    packs = [read_pack(options.data, source)[1:] for source in SOURCES]
    resting = [(points[at_rest(teacher)][: options.each], teacher[at_rest(teacher)][: options.each]) for points, teacher in packs]
    offset = learn_offsets((torch.cat([p for p, _ in resting]), torch.cat([t for _, t in resting])), basis)
    basis = replace(basis, mean=basis.mean + offset)
    blinks = [EXPRESSION_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    shut = [(points[rows], teacher[rows]) for points, teacher in packs for rows in [(teacher[:, blinks] > SHUT).all(1)]]
    closed = learn_closed((torch.cat([p for p, _ in shut]), torch.cat([t for _, t in shut])), basis)
    correlation = learn_correlation(torch.cat([teacher for _, teacher in packs]))
    arrays = {"offset": offset, "closed": closed, "correlation": correlation}
    kept = {name: value.numpy().astype(np.float16 if name == "correlation" else np.float32) for name, value in arrays.items()}
    kept["mean_mm"] = ((basis.mean - offset) * 1000).numpy()
    atomic_write(options.out, lambda temporary: np.savez_compressed(temporary, **kept))
    upper = [386, 159]
    print(f"{options.out}: offsets up to {offset.norm(dim=1).max() * 1000:.1f} mm, {sum(len(t) for _, t in shut)} pairs of shut eyes, ")
    print("upper lid's blink", (basis.expression[blinks[0], upper[0]] * 1000).tolist(), "+", (closed[0, upper[0]] * 1000).tolist(), "mm")


if __name__ == "__main__":
    main()
