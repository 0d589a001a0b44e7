"""Collect what a multi-face network takes for faces, right or wrong, so that the face reader learns to tell faces from the rest.

    python -m experiments.data_generation.candidates --data data --out runs/candidates.npz
    mfn fit --config configs/others/candidates.yaml --model.weights experiments/weights/face_reader.safetensors

The pictures are the photos of crowds with hand-drawn boxes and photos without faces, at their own size, smaller, and squeezed or
stretched: a picture that was fitted into a square for another network still has its faces. Photos that are held out for validation are
left out. A candidate is a face if it overlaps a hand-drawn box that no better candidate has by an IoU of more
than 0.3, and none if all its overlaps are below 0.2; the others are left out. Of the many candidates with low scores a share is kept.
The file holds no picture: for each candidate its photo, its box, its upright crop, and the hand-drawn box.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.common import make_parser
from mfn.inference.model_zoo import MIN_FACE_PX
from mfn.inference.predictor import Predictor
from mfn.structures.boxes import box_iou
from mfn.structures.crop_geometry import upright_frames
from mfn.structures.head_model import default_head_model
from mfn.training.packs.reader import held_out, read_pictures
from mfn.training.single_face.candidates import CROP_SIDE_PX, Candidates, write_candidates
from retarget.io.images import Image

SHRINKS = {"scenes": (1.0, 0.4, 0.25), "backgrounds": (1.0, 0.5)}
UNEVEN_COPIES = 2  # of each picture, with other factors for its width and its height
SMALLEST_UNEVEN, LARGEST_RATIO = 0.25, 1.7  # root of the product of both factors; ratio of both
MIN_SIDE_PX = 60  # smaller copies are not read
MIN_SCORE = 0.04
FACE_IOU, OTHER_IOU = 0.3, 0.2
KEPT = ((0.1, 0.08), (0.3, 0.25), (1.01, 1.0))  # score below which -> share of the candidates without a face that is kept
Factors = tuple[float, float]
"""Width and height of a copy of a picture, relative to the picture."""
TEST_EVERY = 5  # every fifth photo without faces is for experiments/accuracy/false_faces.py


def draw_uneven(rng: np.random.Generator) -> Factors:
    """Draw the factors for the width and the height of a copy, neither of them above 1."""
    size, ratio = np.exp(rng.uniform(np.log(SMALLEST_UNEVEN), 0)), np.exp(rng.uniform(-1, 1) * np.log(LARGEST_RATIO))
    factors = size * np.sqrt([ratio, 1 / ratio])
    width, height = (factors / max(1.0, factors.max())).tolist()
    return width, height


def collect(predictor: Predictor, picture: Image, boxes: NDArray[np.float64], shrink: Factors, rng: np.random.Generator) -> Candidates:
    """Find the candidates in a copy of a picture.

    Args:
        predictor: Without a reader; reports faces from MIN_SCORE on.
        picture: (H, W, 3) uint8 RGB.
        boxes: (T, 4) hand-drawn boxes in px of the picture.
        shrink: Width and height of the copy relative to the picture.
        rng: Chooses which candidates without a face are kept.

    Returns:
        The candidates in px of the picture, with the number 0 for the picture.
    """
    small = picture if shrink == (1, 1) else cv2.resize(picture, None, fx=shrink[0], fy=shrink[1], interpolation=cv2.INTER_AREA)
    faces = predictor(small, video=True)  # no other views of the picture
    frames = upright_frames(faces, default_head_model(), CROP_SIDE_PX)
    matrix = frames.matrix.copy()
    matrix[:, :, :2] *= shrink
    true, is_face, kept = np.zeros((len(faces), 4)), np.zeros(len(faces), bool), np.zeros(len(faces), bool)
    overlap, free = box_iou(faces.box / np.tile(shrink, 2), boxes), np.ones(len(boxes), bool)
    for row in range(len(faces)):  # best score first
        best = int(np.where(free, overlap[row], -1).argmax()) if free.any() else -1
        if best >= 0 and overlap[row, best] > FACE_IOU:
            is_face[row], true[row], free[best] = True, boxes[best], False
        elif overlap[row].max(initial=0) < OTHER_IOU:
            kept[row] = rng.random() < next(share for limit, share in KEPT if faces.score[row] < limit)
    rows = np.flatnonzero(is_face | kept)
    zeros = np.zeros(len(rows), np.int64)
    return Candidates(zeros, zeros, np.tile(shrink, (len(rows), 1)), faces.score[rows], true[rows], is_face[rows], matrix[rows])


def collect_all(
    predictor: Predictor, photos: dict[str, list[Image]], boxes: Sequence[NDArray[np.float64]], rng: np.random.Generator
) -> Candidates:
    """Collect the candidates of all photos that are for training. `boxes`: those of each photo of `photos["scenes"]`."""
    parts = []
    for source, (name, pictures) in enumerate(photos.items()):
        held = held_out(len(pictures)) if name == "scenes" else np.arange(len(pictures)) % TEST_EVERY == 0
        for number in tqdm(np.flatnonzero(~held), desc=name):
            picture = pictures[number]
            for shrink in [*((factor, factor) for factor in SHRINKS[name]), *(draw_uneven(rng) for _ in range(UNEVEN_COPIES))]:
                if min(shrink) < 1 and min(picture.shape[0] * shrink[1], picture.shape[1] * shrink[0]) < MIN_SIDE_PX:
                    continue
                found = collect(predictor, picture, boxes[number] if name == "scenes" else np.zeros((0, 4)), shrink, rng)
                parts.append(found._replace(picture=found.picture + number, source=found.source + source))
    return Candidates(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in Candidates._fields})


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with scenes/scenes.tar, scenes/scenes.npz and backgrounds.tar")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .npz")
    parser.add_argument("--network", default="large", help="the multi-face network")
    args = parser.parse_args()
    with np.load(args.data / "scenes" / "scenes.npz") as file:
        box, number = file["box"].astype(np.float64), file["box_picture"]
    photos = {"scenes": read_pictures(args.data / "scenes" / "scenes.tar"), "backgrounds": read_pictures(args.data / "backgrounds.tar")}
    boxes = [box[number == i] for i in range(len(photos["scenes"]))]
    predictor = Predictor.load(args.network, min_face_px=MIN_FACE_PX, score=MIN_SCORE, reader=False, threads=1)
    found = collect_all(predictor, photos, boxes, np.random.default_rng(0))
    write_candidates(args.out, found)
    print(f"wrote {args.out}: {found.is_face.sum()} faces and {(~found.is_face).sum()} others")


if __name__ == "__main__":
    main()
