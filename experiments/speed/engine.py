"""Measure the speed of the data engine on one core: fits, synthetic heads, edited faces and scenes a second.

    python -m experiments.speed.engine --shared ../shared --labels runs/labels

The figures are rates per second of processor time, so that other work on the machine disturbs little. Faces are turned
and changed in pictures of the youtube pack. Scenes are composed from it and from masked faces, as `mfn fit` composes
them from all packs. The script writes experiments/results/speed/engine_speed.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from experiments.common import RESULTS, make_parser, save_report
from experiments.data_generation.profiles import lone_faces
from experiments.labels.landmark_packs import LandmarkPack, read_landmark_pack
from mfn.fitting.fit_basis import basis_from_head_model
from mfn.fitting.fitter import fit, fit_people
from mfn.structures.head_model import HeadModel
from mfn.synthesis.expressions import random_expressions
from mfn.synthesis.heads import HeadGenerator
from mfn.synthesis.photo_edits.expression_edit import ExpressionEditor
from mfn.synthesis.photo_edits.pose_edit import rotate_and_repaint
from mfn.training.data.scenes import SCENE_KINDS, SceneComposer, SceneKind
from mfn.training.packs.reader import Pack, read_pack, read_pictures
from retarget.geometry.rotations import rotation_about
from retarget.io.images import Image

RESULT = RESULTS / "speed" / "engine_speed.json"
TURN = rotation_about("y", 0.9)  # 52 degrees
SOURCES = {"youtube": 1.0, "masks_with": 0.3}  # pack -> sampling weight
CROWD = {"crowd": SCENE_KINDS["crowd"]}
Rates = dict[str, float]


def rate(make: Callable[[int], object], count: int, each: int = 1) -> float:
    """Return how many items a function makes in a second of processor time.

    Args:
        make: Is called with the number of the call. The first call is not measured.
        count: Number of measured calls.
        each: Items that one call makes.
    """
    make(0)
    start = time.process_time()
    for number in range(count):
        make(number)
    return round(count * each / max(time.process_time() - start, 1e-6), 1)


def fit_rates(model: HeadModel, pack: LandmarkPack, count: int) -> Rates:
    """Measure the label fitter on one block of `count` faces."""
    points, expression, basis = pack.points[:count], pack.expression[:count], basis_from_head_model(model)
    pairs = torch.arange(len(points)) // 2
    return {
        "fits a second": rate(lambda _: fit(points, expression, basis), 1, len(points)),
        "fits a second, in pairs of one person": rate(lambda _: fit_people(points, expression, pairs, basis), 1, len(points)),
    }


def head_rates(model: HeadModel, photos: Sequence[Image], count: int) -> Rates:
    """Measure the drawing of synthetic heads."""
    heads, rng = HeadGenerator(model, list(photos)), np.random.default_rng(0)
    return {
        "synthetic heads a second, 128 px": rate(lambda _: heads.generate(rng, 128, 1.0), count),
        "synthetic heads a second, 200 px, 1.25 samples": rate(lambda _: heads.generate(rng, 200, 1.25), count),
    }


def edit_rates(model: HeadModel, pack: Pack, count: int) -> Rates:
    """Measure real faces that get another expression, and real faces that are turned by 52 degrees."""
    editor, rng = ExpressionEditor(model), np.random.default_rng(0)
    faces = pack.faces[rng.choice(lone_faces(pack), count)]
    pictures, new = [pack.pictures[i] for i in faces.image], random_expressions(count, rng)
    return {
        "expression edits a second": rate(lambda k: editor.edit(pictures[k], faces[[k]], new[[k]]), count),
        "profiled faces a second": rate(lambda k: rotate_and_repaint(pictures[k], faces[[k]], editor.painter, TURN), count),
    }


def scene_rates(model: HeadModel, packs: Sequence[Pack], photos: Sequence[Image], count: int) -> Rates:
    """Measure scenes of 256 px: all kinds, and crowds alone."""

    def scenes_a_second(kinds: Mapping[str, SceneKind]) -> float:
        weights = [SOURCES[pack.name] for pack in packs]
        composer = SceneComposer(list(packs), weights, list(photos), model.identity_mirror, model.boxes, kinds=kinds)
        rng = np.random.default_rng(0)
        return rate(lambda _: composer.compose(rng), count)

    return {
        "training scenes a second, 256 px": scenes_a_second(SCENE_KINDS),
        "crowd scenes a second, 256 px, 15 to 40 faces": scenes_a_second(CROWD),
    }


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--count", type=int, default=128, help="items of each kind")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    data, model = args.shared / "data", HeadModel.load()
    figures = fit_rates(model, read_landmark_pack(data, "lfw"), args.count)
    photos = read_pictures(data / "backgrounds.tar", every=10)
    figures |= head_rates(model, photos, args.count)
    packs = [read_pack(data / "faces", args.labels, source) for source in SOURCES]
    figures |= edit_rates(model, packs[0], args.count) | scene_rates(model, packs, photos, args.count)
    print("\n".join(f"{value:8.1f}  {name}" for name, value in figures.items()))
    save_report(args, __file__, {"count": args.count, "threads": 1, "figures": figures})


if __name__ == "__main__":
    main()
