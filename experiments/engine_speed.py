"""How fast the data engine is on one core: synthetic heads, edits, profiles and crowd scenes a second of processor time.

    python experiments/engine_speed.py --out experiments/results/engine_speed.json

Needs no data: the photos that are changed and turned are synthetic heads themselves. Processor time is counted, so that another job on
the machine disturbs little; caches shared with it still do. --sheet writes a crowd scene made by `mfn.data.blend` to look at.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from mfn.camera import rotation_about
from mfn.data.blend import crowd, decoys
from mfn.data.edits import Editor
from mfn.data.pack import read_pictures
from mfn.data.profile import turn_face, turn_whole
from mfn.data.synthesis import Heads, random_expressions
from mfn.faces import Faces
from mfn.head_model import HeadModel
from mfn.render_heads import backdrop

TURN = rotation_about("y", np.float32(0.9))


def rate(make: Callable[[int], object], count: int) -> float:
    """Calls of `make` a second of processor time, after one that is not counted."""
    make(0)
    start = time.process_time()
    for k in range(count):
        make(k)
    return round(count / max(time.process_time() - start, 1e-6), 1)


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, required=True, help="the .json with the figures")
    parser.add_argument("--count", type=int, default=80, help="of each kind")
    parser.add_argument("--backgrounds", type=Path, help="tar of photos without faces (walls if not given)")
    parser.add_argument("--sheet", type=Path, help="picture file for a crowd scene")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rng, model = np.random.default_rng(0), HeadModel.load()
    photos = (
        read_pictures(args.backgrounds, every=10) if args.backgrounds else [backdrop(300, 400, rng) for _ in range(4)]
    )
    heads, editor = Heads(model, photos), Editor(model)
    made = [heads.picture(rng, 200, 1.0) for _ in range(args.count)]
    pictures, faces = [picture for picture, _ in made], Faces.concatenate([face for _, face in made])
    new = random_expressions(args.count, rng)

    def scene(k: int) -> np.ndarray:
        canvas = cv2.resize(photos[k % len(photos)], (640, 640))
        count = min(30, args.count)
        rows = (np.arange(count) + k) % args.count
        placed = crowd([pictures[r] for r in rows], faces[rows], canvas, (24.0, 90.0), rng)
        decoys(canvas, 6, photos, placed.box, rng)
        return canvas

    figures = {
        "synthetic heads a second, 128 px": rate(lambda k: heads.picture(rng, 128, 1.0), args.count),
        "synthetic heads a second, 200 px, 1.25 samples": rate(lambda k: heads.picture(rng, 200, 1.25), args.count),
        "expression edits a second, 200 px": rate(lambda k: editor.edit(pictures[k], faces[[k]], new[[k]]), args.count),
        "profiled faces a second, turned": rate(
            lambda k: turn_face(pictures[k], faces[[k]], model, TURN), args.count // 2
        ),
        "profiled faces a second, turned and painted": rate(
            lambda k: turn_whole(pictures[k], faces[[k]], editor, TURN), args.count // 2
        ),
        "crowd scenes a second, 640 px, 30 faces": rate(scene, max(args.count // 10, 1)),
    }
    print("\n".join(f"{value:8.1f}  {name}" for name, value in figures.items()))
    args.out.write_text(json.dumps({"count": args.count, "threads": 1, "figures": figures}, indent=1) + "\n")
    if args.sheet:
        cv2.imwrite(str(args.sheet), scene(0)[..., ::-1])


if __name__ == "__main__":
    main()
