"""Measure how much smoothing calms a still face, and how late a blink comes (mfn.video.one_euro).

    python -m experiments.video.smoothing --eval ../shared/eval

The network reads still photos with new camera noise in every frame. Jitter is the mean change from frame to frame of
expression weights (over all 51), of the rotation and of the center, before and after smoothing. The blink is an eyelid
that closes in two frames and opens in five, at 30 frames a second: its peak after smoothing, and the number of frames by
which the smoothed blink passes one half later. The script writes experiments/results/video/smoothing.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.evaluation_sets import read_tar
from experiments.common import RESULTS, Figures, add_eval_option, make_parser, save_report
from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.video.one_euro import BETA_HZ, CUTOFF_HZ, DERIVATIVE_CUTOFF_HZ, NOISE_SPEED, smooth_faces
from retarget.geometry.rotations import matrix_to_rotation_vector
from retarget.io.images import Image

RESULT = RESULTS / "video" / "smoothing.json"
NOISE_LEVELS = 4.0  # standard deviation of a phone's camera indoors, of 255
FPS = 30
BLINK = (0.4, 1.0, 0.9, 0.6, 0.35, 0.15, 0.05)
BLINK_START = 20  # frame
EVERY = 5  # photo of the set


def noisy_faces(picture: Image, frames: int, predictor: Predictor) -> Faces:
    """Read the best face of a photo once for each frame, each time with new noise."""
    rng, found = np.random.default_rng(0), []
    for number in range(frames):
        noisy = np.clip(picture + rng.normal(0, NOISE_LEVELS, picture.shape), 0, 255).astype(np.uint8)
        best = predictor(noisy)[:1]
        found.append(best.replace(image=np.full(len(best), number, np.int32), track=np.zeros(len(best), np.int32)))
    return Faces.concatenate(found)


def jitter(faces: Faces) -> dict[str, float]:
    """Return the mean change from one frame to the next: of a weight, of the rotation in degrees, of the center in px."""
    turns = matrix_to_rotation_vector(faces.rotation[:-1].transpose(0, 2, 1).astype(float) @ faces.rotation[1:])
    return {
        "weight": float(np.abs(np.diff(faces.expression, axis=0)).mean()),
        "angle_deg": float(np.rad2deg(np.linalg.norm(turns, axis=1)).mean()),
        "center_px": float(np.linalg.norm(np.diff(faces.center, axis=0), axis=1).mean()),
    }


def crossing(values: NDArray[Any], level: float, rising: bool) -> float:
    """Return the frame, with a fraction, at which a blink passes a level before (rising) or after its peak; NaN if never."""
    peak = int(values.argmax())
    rows = range(1, peak + 1) if rising else range(peak + 1, len(values))
    for i in rows:
        if (values[i] >= level) == rising and (values[i - 1] < level) == rising:
            return i - 1 + float((level - values[i - 1]) / (values[i] - values[i - 1]))
    return float("nan")


def blink(faces: Faces, time_s: NDArray[np.float64]) -> dict[str, float]:
    """Add a blink to all weights of a noisy still face, smooth it, and measure its peak and its delay in frames."""
    true = np.zeros(len(faces))
    true[BLINK_START : BLINK_START + len(BLINK)] = BLINK
    rest = faces.expression * 0.5
    blinking = np.clip(rest + true[:, None] * (1 - rest), 0, 1).astype(np.float32)
    smoothed = smooth_faces(faces.replace(expression=blinking), time_s).expression
    lid = np.median(smoothed - np.median(smoothed[:BLINK_START], axis=0), axis=1)
    delay = {name: crossing(lid, 0.5, up) - crossing(true, 0.5, up) for name, up in (("closing", True), ("opening", False))}
    return {"peak": float(lid.max()), **{f"{name}_delay_frames": value for name, value in delay.items()}}


def measure(picture: Image, frames: int, predictor: Predictor) -> Figures:
    """Measure one photo."""
    faces, time_s = noisy_faces(picture, frames, predictor), np.arange(frames) / FPS
    before, after = jitter(faces), jitter(smooth_faces(faces, time_s))
    reduction = {name: before[name] / max(after[name], 1e-12) for name in before}
    return {"raw": before, "smoothed": after, "reduction": reduction, "blink": blink(faces, time_s)}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    add_eval_option(parser)
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="ONNX file of the network")
    parser.add_argument("--frames", type=int, default=60, help="frames of each photo")
    parser.add_argument("--photos", type=int, default=3, help="number of photos")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    predictor = Predictor.load(args.weights, threads=1)
    rows: list[Figures] = []
    for number, picture in enumerate(read_tar(args.eval / "aflw2000.tar")[: EVERY * args.photos : EVERY]):
        rows.append({"photo": EVERY * number} | measure(picture, args.frames, predictor))
        print(json.dumps(rows[-1]), flush=True)
    figures: Figures = {
        "settings": {"cutoff_hz": CUTOFF_HZ, "speed": BETA_HZ, "quiet": NOISE_SPEED, "slope_hz": DERIVATIVE_CUTOFF_HZ},
        "noise_levels": NOISE_LEVELS,
        "min_reduction": {name: min(row["reduction"][name] for row in rows) for name in rows[0]["reduction"]},
        "photos": rows,
    }
    print(figures["min_reduction"])
    save_report(args, __file__, figures, args.weights)


if __name__ == "__main__":
    main()
