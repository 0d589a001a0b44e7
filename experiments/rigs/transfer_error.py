"""Measure the error of `retarget rig`: shapes of our head transferred to ICT-FaceKit heads, which have their own.

    python -m experiments.rigs.transfer_error --ict ../shared/data/ict_facekit.npz --points ../shared/data/ict_mediapipe478.npz

Heads: ICT's mean and random identities N(0, 1). Landmarks: exact, and displaced by 2 mm before they go to the nearest
vertex. Errors are measured on the skin, in millimeters: "moving" where ICT's shape moves it by more than 0.5 mm, "still"
elsewhere. mouthClose is apart, because ours is another shape on purpose. Our head was learned from ICT's; the shapes of
other artists differ more. `lid_gap` is the distance between the eyelids at eyeBlink divided by that at rest: the mean of
both eyes and of two pairs of points each. The script writes experiments/results/rigs/transfer.json.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, save_report
from experiments.head_model.ict import SKIN_END, Ict, load_ict
from retarget.arkit import EXPRESSION_NAMES
from retarget.autorig.deformation_transfer import transfer_shapes
from retarget.autorig.source_head import LANDMARKS, SourceHead, load_source_head

RESULT = RESULTS / "rigs" / "transfer.json"
LID_PAIRS = {"eyeBlinkLeft": ((43, 47), (44, 46)), "eyeBlinkRight": ((37, 41), (38, 40))}  # upper and lower of the 68 points
MOUTH_CLOSE = EXPRESSION_NAMES.index("mouthClose")
MOVING_MM = 0.5
MM_PER_CM = 10


def lid_gap(ict: Ict, vertices: NDArray[np.float64], shapes: NDArray[Any]) -> float:
    """Return which share of the distance between the eyelids is left at eyeBlink. vertices: (V, 3); shapes: (51, V, 3)."""
    left = []
    for name, pairs in LID_PAIRS.items():
        blink = vertices + shapes[EXPRESSION_NAMES.index(name)]
        for pair in pairs:
            upper, lower = ict.landmarks[list(pair)]
            left.append(np.linalg.norm(blink[upper] - blink[lower]) / np.linalg.norm(vertices[upper] - vertices[lower]))
    return round(float(np.mean(left)), 3)


def figures_of(error_mm: NDArray[np.float64], true_mm: NDArray[np.float64]) -> Figures:
    """Summarize errors (51, V) and true motions (51, V) of the skin, in millimeters."""
    moving, usual = true_mm > MOVING_MM, np.arange(len(EXPRESSION_NAMES)) != MOUTH_CLOSE
    moved, wrong = true_mm[usual][moving[usual]], error_mm[usual][moving[usual]]
    shapes = zip(EXPRESSION_NAMES, error_mm, moving, strict=True)
    return {
        "moving_mm": round(float(moved.mean()), 3),
        "error_mm": round(float(wrong.mean()), 3),
        "error_p95_mm": round(float(np.percentile(wrong, 95)), 3),
        "still_error_mm": round(float(error_mm[usual][~moving[usual]].mean()), 4),
        "mouth_close_error_mm": round(float(error_mm[MOUTH_CLOSE][moving[MOUTH_CLOSE]].mean()), 3),
        "shape_error_mm": {name: round(float(error[rows].mean()), 3) for name, error, rows in shapes if rows.any()},
    }


def measure(ict: Ict, source: SourceHead, vertices: NDArray[np.float64], landmarks: dict[str, int]) -> Figures:
    """Transfer our shapes to one head and compare them with its own.

    Args:
        ict: ICT-FaceKit.
        source: Our head.
        vertices: (V, 3) of the head, centimeters.
        landmarks: Name -> vertex.
    """
    start = time.process_time()
    shapes, _ = transfer_shapes(source, vertices, ict.triangles(0, len(vertices)), landmarks)
    seconds = time.process_time() - start
    error_mm = MM_PER_CM * np.linalg.norm(shapes - ict.expression, axis=2)[:, :SKIN_END]
    true_mm = MM_PER_CM * np.linalg.norm(ict.expression, axis=2)[:, :SKIN_END]
    return figures_of(error_mm, true_mm) | {
        "lid_gap": lid_gap(ict, vertices, shapes),
        "lid_gap_ict": lid_gap(ict, vertices, ict.expression),
        "cpu_s": round(seconds, 1),
    }


def displaced(vertices: NDArray[np.float64], exact: dict[str, int], noise_mm: float, rng: np.random.Generator) -> dict[str, int]:
    """Displace landmarks at random and return the vertices of the skin that are nearest."""
    noise = rng.normal(0, noise_mm / MM_PER_CM / np.sqrt(3), (len(exact), 3))
    places = vertices[list(exact.values())] + noise
    nearest = np.linalg.norm(vertices[None, :SKIN_END] - places[:, None], axis=2).argmin(1)
    return dict(zip(exact, nearest.tolist(), strict=True))


def read_landmarks(path: Path) -> dict[str, int]:
    """Read the vertex of each landmark on ICT's mesh: the corner with the largest weight."""
    with np.load(path) as points:
        vertex, weight = points["vertex"], points["weight"]
    return {name: int(vertex[k][weight[k].argmax()]) for name, k in LANDMARKS.items()}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--ict", type=Path, default=Path("../shared/data/ict_facekit.npz"), help="ICT-FaceKit")
    parser.add_argument("--points", type=Path, default=Path("../shared/data/ict_mediapipe478.npz"), help="MediaPipe's points on it")
    parser.add_argument("--heads", type=int, default=4, help="random identities besides the mean")
    parser.add_argument("--noise-mm", type=float, default=2.0, help="displacement of the landmarks")
    args = parser.parse_args()
    ict, source, rng = load_ict(args.ict), load_source_head(), np.random.default_rng(0)
    exact = read_landmarks(args.points)
    figures: Figures = {"landmarks": len(LANDMARKS), "noise_mm": args.noise_mm}
    for head in range(args.heads + 1):
        vertices = ict.mean + np.tensordot(rng.standard_normal(len(ict.identity)) * (head > 0), ict.identity, 1)
        for title, landmarks in (("exact", exact), ("noisy", displaced(vertices, exact, args.noise_mm, rng))):
            name = f"{'mean' if head == 0 else f'identity_{head}'}_{title}"
            figures[name] = measure(ict, source, vertices, landmarks)
            print(name, {key: value for key, value in figures[name].items() if key != "shape_error_mm"}, flush=True)
    save_report(args, __file__, figures)


if __name__ == "__main__":
    main()
