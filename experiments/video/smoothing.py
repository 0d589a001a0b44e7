"""How much smoothing calms a still face, and how late a blink comes: figures for `mfn.video.one_euro`.

    python -m experiments.video.smoothing --eval ../shared/eval [--weights mfn.onnx] [--out experiments/results/video/smoothing.json]

Still photos with new camera noise in every frame go through the network; jitter is the mean change from frame to frame
of weights (over all 51), of angles and of places, before and after smoothing. The blink is a lid that closes in two
frames and opens in five, at 30 frames/s: its peak, and the frames by which the smoothed one passes half of it later.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np

from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.video.one_euro import BETA_HZ, CUTOFF_HZ, DERIVATIVE_CUTOFF_HZ, NOISE_SPEED, smooth_faces
from retarget.geometry.rotations import matrix_to_rotation_vector

NOISE, FPS = 4.0, 30  # standard deviation in levels of 255, as of a phone indoors; frames a second
BLINK = (0.4, 1.0, 0.9, 0.6, 0.35, 0.15, 0.05)


def still(picture: np.ndarray, frames: int, predictor: Predictor) -> Faces:
    """The best face of a photo, so many times, each with noise of its own."""
    random, found = np.random.default_rng(0), []
    for number in range(frames):
        noisy = np.clip(picture + random.normal(0, NOISE, picture.shape), 0, 255).astype(np.uint8)
        best = predictor(noisy)[:1]
        found.append(best.replace(image=np.full(len(best), number), track=np.zeros(len(best))))
    return Faces.concatenate(found)


def jitter(faces: Faces) -> dict[str, float]:
    """Mean change from one frame to the next."""
    turns = matrix_to_rotation_vector(faces.rotation[:-1].transpose(0, 2, 1).astype(float) @ faces.rotation[1:])
    return {
        "weight": float(np.abs(np.diff(faces.expression, axis=0)).mean()),
        "angle_deg": float(np.rad2deg(np.linalg.norm(turns, axis=1)).mean()),
        "place_px": float(np.linalg.norm(np.diff(faces.center, axis=0), axis=1).mean()),
    }


def crossing(values: np.ndarray, level: float, rising: bool) -> float:
    """The frame, with a fraction, at which a blink passes a level."""
    peak = int(values.argmax())
    rows = range(1, peak + 1) if rising else range(peak + 1, len(values))
    for i in rows:
        if (values[i] >= level) == rising and (values[i - 1] < level) == rising:
            return i - 1 + float((level - values[i - 1]) / (values[i] - values[i - 1]))
    return float("nan")


def blink(faces: Faces, time_s: np.ndarray) -> dict[str, float]:
    """Of a blink on top of a noisy still face."""
    start, true = 20, np.zeros(len(faces))
    true[start : start + len(BLINK)] = BLINK
    rest = faces.expression * 0.5
    seen = smooth_faces(faces.replace(expression=np.clip(rest + true[:, None] * (1 - rest), 0, 1)), time_s)
    lid = np.median(seen.expression - np.median(seen.expression[:start], axis=0), axis=1)
    late = {name: crossing(lid, 0.5, up) - crossing(true, 0.5, up) for name, up in (("closing", True), ("opening", False))}
    return {"peak": float(lid.max()), **{f"{name}_late_frames": value for name, value in late.items()}}


def main() -> None:
    """Predicts, smooths, compares, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--photos", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "video" / "smoothing.json")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    predictor, rows = Predictor.load(args.weights, threads=1), []
    with tarfile.open(args.eval / "aflw2000.tar") as tar:
        for member in tar.getmembers()[: 5 * args.photos : 5]:
            picture = cv2.imdecode(np.frombuffer(tar.extractfile(member).read(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]  # type: ignore[union-attr]
            faces = still(picture, args.frames, predictor)
            time_s = np.arange(args.frames) / FPS
            before, after = jitter(faces), jitter(smooth_faces(faces, time_s))
            less = {name: before[name] / max(after[name], 1e-12) for name in before}
            rows.append({"photo": member.name, "raw": before, "smoothed": after, "times_less": less, "blink": blink(faces, time_s)})
            print(json.dumps(rows[-1]), flush=True)
    result = {
        "weights_sha256": hashlib.sha256(args.weights.read_bytes()).hexdigest(),
        "settings": {"cutoff_hz": CUTOFF_HZ, "speed": BETA_HZ, "quiet": NOISE_SPEED, "slope_hz": DERIVATIVE_CUTOFF_HZ},
        "noise_levels": NOISE,
        "least_times_less": {name: min(row["times_less"][name] for row in rows) for name in rows[0]["times_less"]},
        "photos": rows,
    }
    print(result["least_times_less"])
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
