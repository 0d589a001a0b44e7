"""How fast the data engine is on one core: fits, synthetic heads, edits, profiles and crowd scenes a second of processor time.

    python -m experiments.speed.engine --shared ../shared --labels runs/labels --out experiments/results/speed/engine_speed.json

Processor time is counted, so that another job on the machine disturbs little; caches shared with it still do. Faces are turned and changed
in pictures of the youtube pack; scenes are drawn from it and from masked faces, as `mfn fit` draws them from all packs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from experiments.data_generation.profiles import alone
from experiments.labels.fit import read_pack as read_landmarks
from mfn.fitting.fitter import basis_from_head_model, fit, fit_people
from mfn.structures.camera import rotation_about
from mfn.structures.head_model import HeadModel
from mfn.synthesis.expression_edit import ExpressionEditor
from mfn.synthesis.expressions import random_expressions
from mfn.synthesis.heads import HeadGenerator
from mfn.synthesis.pose_edit import rotate_and_repaint
from mfn.training.data.packs import Pack, read_pack, read_pictures
from mfn.training.data.scenes import KINDS, Kind, Mosaic

TURN = rotation_about("y", np.float32(0.9))
SOURCES = ("youtube", "masks_with")
CROWD = {"crowd": KINDS["crowd"]}


def rate(make: Callable[[int], object], count: int, each: int = 1) -> float:
    """What `make` makes a second of processor time, `each` a call, after a call that is not counted."""
    make(0)
    start = time.process_time()
    for k in range(count):
        make(k)
    return round(count * each / max(time.process_time() - start, 1e-6), 1)


def fits(model: HeadModel, data: Path, count: int) -> dict[str, float]:
    """Faces fitted in blocks of `count`."""
    _, points, teacher = read_landmarks(data, "lfw")
    points, teacher, basis = points[:count], teacher[:count], basis_from_head_model(model)
    pairs = torch.arange(len(points)) // 2
    return {
        "fits a second": rate(lambda _: fit(points, teacher, basis), 1, len(points)),
        "fits a second, in pairs of one person": rate(lambda _: fit_people(points, teacher, pairs, basis), 1, len(points)),
    }


def drawn(model: HeadModel, photos: list[np.ndarray], count: int) -> dict[str, float]:
    """Synthetic heads."""
    heads, rng = HeadGenerator(model, photos), np.random.default_rng(0)
    return {
        "synthetic heads a second, 128 px": rate(lambda _: heads.generate(rng, 128, 1.0), count),
        "synthetic heads a second, 200 px, 1.25 samples": rate(lambda _: heads.generate(rng, 200, 1.25), count),
    }


def changed(model: HeadModel, pack: Pack, count: int) -> dict[str, float]:
    """Real faces with another expression, and turned by 52 degrees."""
    editor, rng = ExpressionEditor(model), np.random.default_rng(0)
    faces = pack.faces[rng.choice(alone(pack), count)]
    pictures, new = [pack.pictures[i] for i in faces.image], random_expressions(count, rng)
    return {
        "expression edits a second": rate(lambda k: editor.edit(pictures[k], faces[[k]], new[[k]]), count),
        "profiled faces a second": rate(lambda k: rotate_and_repaint(pictures[k], faces[[k]], editor.painter, TURN), count),
    }


def scenes(model: HeadModel, packs: list[Pack], photos: list[np.ndarray], count: int) -> dict[str, float]:
    """Scenes of 256 px: of all kinds, and crowds alone."""

    def of(kinds: dict[str, Kind]) -> float:
        mosaic = Mosaic(packs, [1.0, 0.3], photos, model.identity_mirror, model.boxes, kinds=kinds)
        rng = np.random.default_rng(0)
        return rate(lambda _: mosaic.scene(rng), count)

    return {"training scenes a second, 256 px": of(KINDS), "crowd scenes a second, 256 px, 15 to 40 faces": of(CROWD)}


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="holds data/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--out", type=Path, required=True, help="the .json with the figures")
    parser.add_argument("--count", type=int, default=128, help="of each kind")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    data, model = args.shared / "data", HeadModel.load()
    figures = fits(model, data, args.count)
    photos = read_pictures(data / "backgrounds.tar", every=10)
    figures |= drawn(model, photos, args.count)
    packs = [read_pack(data / "faces", args.labels, source) for source in SOURCES]
    figures |= changed(model, packs[0], args.count) | scenes(model, packs, photos, args.count)
    print("\n".join(f"{value:8.1f}  {name}" for name, value in figures.items()))
    args.out.write_text(json.dumps({"count": args.count, "threads": 1, "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
