"""Let the expressions that a face reader predicts vary as much as the labels of photos do, shape by shape.

    python -m experiments.labels.match_spread RUN/checkpoints/last.ckpt --data data --labels runs/labels --out reader.safetensors

A network that is not sure predicts the mean of what a face may show: strong shapes come out too weak, and rare ones far too weak. For
each shape the script finds two numbers a and b, so that the weights sigmoid(a * r + b) of the raw outputs r have the mean and the
spread (standard deviation) of the labels. Where both vary equally, the gain equals the correlation. Shapes that are read with a lower
correlation than `GAIN_AIM` may vary up to `MOST_SPREAD` times as much as the labels, so that they are still seen. Shapes that hardly vary
in photos, and all shapes where there are fewer than `MIN_FACES` faces, get the a and b that keep the weight `PIVOT` and enlarge distances
from it: the spread of few faces says little. Only the last layer of the expression branch changes.

The faces are those of the photos that are held out from training, as they are and shrunk to `SMALL_PX`. Because the numbers are fitted to
these faces, the script also fits them to one half of the faces at a time and measures on the other: it writes mean error of a weight, mean
correlation and mean gain over the shapes that vary, before and after, into experiments/results/labels/match_spread.json (--report).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.accuracy.expression.laid_faces import follow
from experiments.common import RESULTS, Figures, make_parser, write_report
from mfn.models.readers.face_reader import FaceReader
from mfn.structures.cells import SLICES
from mfn.structures.crop_geometry import cut_crops, upright_frames
from mfn.structures.faces import Faces
from mfn.structures.flip import cell_flip
from mfn.structures.head_model import HeadModel
from mfn.training.checkpoints import read_state, write_state
from mfn.training.packs.reader import Pack, read_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

PACKS = ("lfw", "youtube", "masks_without", "expressions")
WEIGHT, BIAS = "expression.3.weight", "expression.3.bias"
SMALL_PX = 60
MIN_SPREAD = 0.03  # a shape whose labels vary less is hardly seen in photos
GAIN_AIM, MOST_SPREAD = 0.6, 1.25
PIVOT, FACTOR = 0.2, 1.3  # of shapes that are hardly seen in photos
FACTORS = np.geomspace(0.8, 3.0, 80)
MAX_FACES, MIN_FACES = 300, 200  # of a pack, and of all packs together
RESULT = RESULTS / "labels" / "match_spread.json"


class Change(NamedTuple):
    """Factor and offset of the raw output of each shape, (51,) each."""

    factor: NDArray[np.float64]
    offset: NDArray[np.float64]


def shrink(picture: Image, face: Faces, height_px: float) -> tuple[Image, Faces]:
    """Return a picture that is so small that its face is `height_px` high, and the face in it; unchanged where it is smaller already."""
    ratio = height_px / float(face.box[0, 3] - face.box[0, 1])
    if ratio >= 1:
        return picture, face
    small = np.asarray(cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA), np.uint8)
    return small, face.replace(box=face.box * ratio, center=face.center * ratio, scale=face.scale * ratio)


@torch.no_grad()
def raw_expressions(network: nn.Module, photos: Sequence[tuple[Image, Faces]]) -> NDArray[np.float64]:
    """Return the raw expressions (N, 51) of faces, the mean of a crop and its mirror image."""
    model, size_px = HeadModel.load(), FaceReader.crop_size_px
    flip = cell_flip(model.identity_mirror)
    crops = np.concatenate([cut_crops(photo, upright_frames(face, model, size_px).matrix, size_px) for photo, face in photos])
    parts = []
    for start in range(0, len(crops), 128):
        batch = torch.from_numpy(crops[start : start + 128]).permute(0, 3, 1, 2).float()
        raw, mirrored = network(batch).numpy(), network(batch.flip(3)).numpy()[:, flip.order] * flip.sign
        parts.append((raw + mirrored)[:, SLICES["expression"]] / 2)
    return np.concatenate(parts).astype(np.float64)


def held_out_photos(pack: Pack) -> list[tuple[Image, Faces]]:
    """Return up to MAX_FACES labeled faces of a pack that are held out from training, each with its photo."""
    rows = np.flatnonzero(pack.held_out()[pack.faces.image] & pack.has_labels)[:MAX_FACES]
    return [(pack.pictures[pack.faces.image[row]], pack.faces[int(row) : int(row) + 1]) for row in rows]


def match_shape(raw: NDArray[np.float64], label: NDArray[np.float64]) -> tuple[float, float]:
    """Find factor and offset of the raw outputs (N,) of one shape, whose labels are (N,)."""
    r = float(np.corrcoef(sigmoid(raw), label)[0, 1])
    wanted = label.std() * np.clip(GAIN_AIM / max(r, 1e-3), 1.0, MOST_SPREAD)
    offsets = [offset_for_mean(factor * raw, float(label.mean())) for factor in FACTORS]
    spreads = [sigmoid(factor * raw + offset).std() for factor, offset in zip(FACTORS, offsets, strict=True)]
    best = int(np.abs(np.array(spreads) - wanted).argmin())
    return float(FACTORS[best]), offsets[best]


def offset_for_mean(raw: NDArray[np.float64], mean: float) -> float:
    """Find the number to add to raw values (N,) so that their sigmoids have a mean, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(raw + middle).mean() < mean else (low, middle)
    return (low + high) / 2


def sigmoid(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of raw values."""
    return np.asarray(1 / (1 + np.exp(-raw)))


def find_change(raw: NDArray[np.float64], labels: NDArray[np.float64], few: bool = False) -> Change:
    """Find the change of all shapes. Both sides of a face change equally.

    Args:
        raw: Raw expressions (N, 51).
        labels: Their labels (N, 51).
        few: Whether there are too few faces to find a change for each shape.
    """
    factor = np.full(len(EXPRESSION_NAMES), FACTOR)
    offset = (1 - factor) * math.log(PIVOT / (1 - PIVOT))
    if few:
        return Change(factor, offset)
    for i, name in enumerate(EXPRESSION_NAMES):
        twin = EXPRESSION_NAMES.index(name.replace("Left", "Right"))
        sides = [i] if twin == i else [i, twin]
        if name.endswith("Right") or labels[:, sides].std() < MIN_SPREAD:
            continue
        factor[sides], offset[sides] = match_shape(raw[:, sides].ravel(), labels[:, sides].ravel())
    return Change(factor, offset)


def apply(change: Change, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights (N, 51) of changed raw expressions (N, 51)."""
    return sigmoid(change.factor * raw + change.offset)


def check_halves(raw: NDArray[np.float64], labels: NDArray[np.float64]) -> Figures:
    """Measure the change on faces that did not teach it.

    Args:
        raw: Raw expressions (2 N, 51) of N faces as they are, then of the same faces small.
        labels: Their labels (2 N, 51).

    Returns:
        Size -> before and after -> figures. The two halves are drawn at random; each is changed by what the other taught.
    """
    count = len(raw) // 2
    half = np.tile(np.random.default_rng(0).permutation(count) % 2, 2)
    after = np.empty_like(raw)
    for part in (0, 1):
        change = find_change(raw[half != part], labels[half != part], count < MIN_FACES)
        after[half == part] = apply(change, raw[half == part])
    sizes = {"own size": slice(count), f"{SMALL_PX} px": slice(count, None)}
    return {
        name: {when: figures(weights[rows], labels[rows]) for when, weights in (("before", sigmoid(raw)), ("after", after))}
        for name, rows in sizes.items()
    }


def figures(predicted: NDArray[np.float64], labels: NDArray[np.float64]) -> Figures:
    """Return the mean error of a weight, and mean correlation and gain over the shapes that vary, of (N, 51) each."""
    varies = labels.std(0) > MIN_SPREAD
    pairs = np.array([follow(labels[:, k], predicted[:, k]) for k in np.flatnonzero(varies)])
    error = float(np.abs(predicted - labels).mean())
    return {"error": round(error, 4), "correlation": round(float(pairs[:, 0].mean()), 3), "gain": round(float(pairs[:, 1].mean()), 3)}


def changed(state: dict[str, Tensor], change: Change) -> dict[str, Tensor]:
    """Return the state of a face reader with changed raw expressions.

    Args:
        state: Name -> tensor.
        change: The change.
    """
    factor, offset = (torch.from_numpy(values).float() for values in change)
    return {**state, WEIGHT: factor[:, None] * state[WEIGHT], BIAS: factor * state[BIAS] + offset}


def load_reader(path: Path) -> FaceReader:
    """Read the weights of a face reader.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not the weights of a face reader.
    """
    network, state = FaceReader().eval(), read_state(path)
    if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in network.state_dict().items()}:
        raise ValueError(f"{path}: expected the weights of a face reader, got those of another network")
    network.load_state_dict(state)
    return network


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("state", type=Path, help="a checkpoint of Lightning, or a .safetensors file")
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument("--pack", action="append", metavar="NAME", help=f"pack in faces/, may be repeated (default: {' '.join(PACKS)})")
    parser.add_argument("--report", type=Path, default=RESULT, help="file for the figures, .json (default: %(default)s)")
    args = parser.parse_args()
    try:
        args.network = load_reader(args.state)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    return args


def main() -> None:
    """Run the command."""
    args = parse_arguments()
    photos = [photo for name in args.pack or PACKS for photo in held_out_photos(read_pack(args.data / "faces", args.labels, name))]
    if not photos:
        raise SystemExit(f"{args.data}: expected photos with labels that are held out from training, found none; give packs with --pack")
    every = photos + [shrink(*photo, SMALL_PX) for photo in photos]
    labels = np.concatenate([face.expression for _, face in every]).astype(np.float64)
    raw = raw_expressions(args.network, every)
    change = find_change(raw, labels, len(photos) < MIN_FACES)
    write_state(args.out, changed(read_state(args.state), change))
    for name, factor, offset in zip(EXPRESSION_NAMES, *change, strict=True):
        print(f"{name:20s} {factor:5.2f} {offset:+6.2f}")
    report = {"faces": len(photos), "sizes": check_halves(raw, labels)}
    write_report(args.report, __file__, report, {"reader": args.out})
    how = "all shapes by one factor" if len(photos) < MIN_FACES else "each shape"
    print(f"{args.out}: the expressions of {args.state} matched to the labels of {len(photos)} faces, {how}")


if __name__ == "__main__":
    main()
