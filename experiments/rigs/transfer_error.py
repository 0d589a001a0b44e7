"""How far `retarget rig`'s shapes lie from a head's own: our shapes transferred to ICT-FaceKit heads, which have theirs.

    python -m experiments.rigs.transfer_error --ict ../shared/data/ict_facekit.npz --out experiments/results/rigs/transfer.json

Heads: ICT's mean and random identities N(0, 1); landmarks exact, and displaced by 2 mm before they go to the nearest vertex.
Measured on the skin where ICT's shape moves it by more than 0.5 mm ("moving"), in millimetres, and where it does not ("still").
mouthClose is apart, because ours is another shape on purpose. Our head was learned from ICT's: other artists' shapes differ more.
"lid_gap": distance of the lids' middle at eyeBlink over that at rest, mean of both eyes and of two pairs of points each.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from experiments.head_model.ict import SKIN_END, load_ict  # noqa: E402
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402
from retarget.autorig.deformation_transfer import transfer_shapes  # noqa: E402
from retarget.autorig.source_head import LANDMARKS, load_source_head  # noqa: E402

LIDS = (((43, 47), (44, 46)), ((37, 41), (38, 40)))
"""Of the 68: upper and lower points of the left eye, of the right eye."""
CLOSE = EXPRESSION_NAMES.index("mouthClose")


def lid_gap(ict, vertices: np.ndarray, shapes: np.ndarray) -> float:
    """How much of the distance between the lids is left at eyeBlink."""
    left = []
    for pairs, name in zip(LIDS, ("eyeBlinkLeft", "eyeBlinkRight")):
        blink = vertices + shapes[EXPRESSION_NAMES.index(name)]
        for pair in pairs:
            above, below = ict.landmarks[list(pair)]
            left.append(np.linalg.norm(blink[above] - blink[below]) / np.linalg.norm(vertices[above] - vertices[below]))
    return round(float(np.mean(left)), 3)


def measure(ict, source, vertices: np.ndarray, landmarks: dict[str, int]) -> dict:
    """Errors of one head (V, 3) in centimetres as ICT has them, reported in millimetres."""
    start = time.process_time()
    shapes, _ = transfer_shapes(source, vertices, ict.triangles(0, len(vertices)), landmarks)
    seconds = time.process_time() - start
    error = 10 * np.linalg.norm(shapes - ict.expression, axis=2)[:, :SKIN_END]
    truth = 10 * np.linalg.norm(ict.expression, axis=2)[:, :SKIN_END]
    moving, usual = truth > 0.5, np.arange(len(EXPRESSION_NAMES)) != CLOSE
    moved, wrong = truth[usual][moving[usual]], error[usual][moving[usual]]
    return {
        "moving_mm": round(float(moved.mean()), 3),
        "error_mm": round(float(wrong.mean()), 3),
        "error_p95_mm": round(float(np.percentile(wrong, 95)), 3),
        "still_error_mm": round(float(error[usual][~moving[usual]].mean()), 4),
        "mouth_close_error_mm": round(float(error[CLOSE][moving[CLOSE]].mean()), 3),
        "lid_gap": lid_gap(ict, vertices, shapes),
        "lid_gap_ict": lid_gap(ict, vertices, ict.expression),
        "shape_error_mm": {n: round(float(e[m].mean()), 3) for n, e, m in zip(EXPRESSION_NAMES, error, moving) if m.any()},
        "cpu_s": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ict", type=Path, default=Path("../shared/data/ict_facekit.npz"))
    parser.add_argument("--points", type=Path, default=Path("../shared/data/ict_mediapipe478.npz"))
    parser.add_argument("--heads", type=int, default=4, help="random identities besides the mean")
    parser.add_argument("--noise_mm", type=float, default=2.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "rigs" / "transfer.json")
    args = parser.parse_args()
    ict, source, rng = load_ict(args.ict), load_source_head(), np.random.default_rng(0)
    with np.load(args.points) as points:
        exact = {name: int(points["vertex"][k][points["weight"][k].argmax()]) for name, k in LANDMARKS.items()}
    result: dict = {"landmarks": len(LANDMARKS), "noise_mm": args.noise_mm}
    for head in range(args.heads + 1):
        vertices = ict.mean + np.tensordot(rng.standard_normal(len(ict.identity)) * (head > 0), ict.identity, 1)
        spots = vertices[list(exact.values())] + rng.normal(0, args.noise_mm / 10 / np.sqrt(3), (len(exact), 3))
        nearest = np.linalg.norm(vertices[None, :SKIN_END] - spots[:, None], axis=2).argmin(1)
        for title, landmarks in (("exact", exact), ("noisy", dict(zip(exact, nearest.tolist())))):
            name = f"{'mean' if head == 0 else f'identity_{head}'}_{title}"
            result[name] = measure(ict, source, vertices, landmarks)
            print(name, {k: v for k, v in result[name].items() if k != "shape_error_mm"}, flush=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(args.out)


if __name__ == "__main__":
    main()
