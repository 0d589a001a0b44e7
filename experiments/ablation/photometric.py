"""Does a look at the picture's colours (mfn/fitting/photometric.py) make the fits better than landmarks alone? NME before and after.

    python -m experiments.ablation.photometric --shared ../shared --out experiments/results/ablation/photometric.json

Every `--every`-th picture of the evaluation sets, one look of the teacher. Rasterised by PyTorch3D if it is here, else by our own
rasteriser, whose gradients are the same.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from experiments.accuracy.benchmarks import SETS, load_score, mean_of, read_tar
from experiments.labels.measure import Bench, Figures, points68, seen_on
from mfn.fitting.blendshape_calibration import scores_to_expression
from mfn.fitting.fitter import FitResult, fit
from mfn.fitting.landmarker import Landmarker
from mfn.fitting.photometric import (
    PhotometricOptions,
    Rasterizer,
    check_pytorch3d,
    rasterize_numpy,
    rasterize_pytorch3d,
    refine,
)
from retarget.io.files import atomic_write
from retarget.io.images import Picture


def fitted(bench: Bench, name: str, every: int, landmarker: Landmarker) -> tuple[FitResult, list[Picture], np.ndarray]:
    """Fits of a set's pictures in which the teacher finds the face, those pictures, and the true 68 points (N, 68, 2) px."""
    folder = bench.shared / "eval"
    with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
        true = data["landmarks"][:, :68, :2].astype(float)
    points, scores, rows, pictures = [], [], [], []
    for i, picture in enumerate(read_tar(folder / f"{name}.tar")):
        if i % every:
            continue
        seen = landmarker(picture)
        face = seen_on(seen, true[i])
        if face is not None:
            points.append(seen.points[face])
            scores.append(seen.scores[face])
            rows.append(i)
            pictures.append(picture)
    teacher = torch.from_numpy(scores_to_expression(np.stack(scores), landmarker.names))
    return fit(torch.from_numpy(np.stack(points)), teacher, bench.basis), pictures, true[rows]


def measure(bench: Bench, every: int, rasterise: Rasterizer, options: PhotometricOptions) -> Figures:
    """Per set: NME by landmarks alone and after the refinement, how far it moved identity and expression, seconds a face."""
    score, out = load_score(bench.shared / "eval"), {}
    with bench.landmarker() as landmarker:
        for name in SETS:
            before, pictures, true = fitted(bench, name, every, landmarker)
            start = time.process_time()
            cuts = [slice(i, i + 4) for i in range(0, len(pictures), 4)]
            parts = [refine(before[cut], pictures[cut], bench.model, bench.basis, rasterise, options) for cut in cuts]  # type: ignore[index]
            after = FitResult(*(torch.cat([getattr(part, key) for part in parts]) for key in FitResult.__dataclass_fields__))
            out[name] = {"faces": len(pictures), "seconds of one core a face": round((time.process_time() - start) / len(pictures), 2)}
            for title, found in (("landmarks", before), ("photometric", after)):
                predicted = points68(found, bench.model)
                figures = {"nme": mean_of(score.nme(predicted, true)), "aligned_nme": mean_of(score.aligned_nme(predicted, true))}
                out[name][title] = figures | {"mean expression": round(float(found.expression.mean()), 4)}
            moved_mm = bench.apart_mm(after.identity.numpy(), before.identity.numpy()).mean()
            out[name]["identity moved, mm"] = round(float(moved_mm), 3)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "ablation" / "photometric.json")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--steps", type=int, default=PhotometricOptions().steps)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rasterise: Rasterizer = rasterize_pytorch3d
    try:
        check_pytorch3d()
    except ImportError:
        rasterise = rasterize_numpy
    figures: Figures = {"rasteriser": rasterise.__name__, "every": options.every, "steps": options.steps}
    figures |= measure(Bench(options.shared), options.every, rasterise, PhotometricOptions(steps=options.steps))
    print(json.dumps(figures, indent=1))
    atomic_write(options.out, (json.dumps(figures, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
