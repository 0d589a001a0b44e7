"""Make crowds and pictures without faces from packs of single faces, for trainings that have neither.

    python -m experiments.data_generation.montages --pack runs/free/faces/fairface --out runs/free

It writes three things into --out. `backgrounds.tar` holds pictures without faces, of three kinds: drawn ones; what lies beside the faces of
the packs, mirrored until it fills a picture; and photos cut into squares that are shuffled, so that skin and hair make no face.
`scenes/scenes.tar` and `scenes.npz` hold crowds: heads of the packs, cut out along an ellipse, over such backgrounds, with the boxes of
their labels. The format is that of photos with hand-drawn boxes, so that `experiments.data_generation.candidates` reads them. `widened`
is a pack of the photos with more around their faces: what lies at their borders is mirrored, or the head lies over a background. Photos
that are cut at the face would else teach a network to find the face by the borders of its photo. Photos that are held out for
validation are not used.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.common import make_parser, picture_grid
from experiments.data_generation.profiles import lone_faces, training_pack
from mfn.structures.faces import Faces
from mfn.synthesis.backgrounds import random_background
from mfn.training.packs.reader import Pack, locate_pack
from mfn.training.packs.writer import write_pack, write_pictures
from retarget.io.files import atomic_write
from retarget.io.images import Image, encode_jpeg, write_image

BACKGROUND_PX = 288
MARGIN = 0.2  # kept around a face, relative to the width of its box
MIN_STRIP_PX = 40  # narrower strips beside a face show too little
SCENE_PX = (480, 640)  # height and width of a crowd
FACES = (1, 28)  # fewest and most faces of a crowd
FACE_PX = (10.0, 150.0)  # smallest and largest height of a face
HEAD = (0.72, 0.8)  # half axes of the ellipse of a head, relative to the sides of the box
FEATHER = 0.12  # width of the soft border of a head, relative to its radius
WIDENING = 0.45  # of the sides of a photo, added at each border of a widened one
MIRROR_BLUR_PX = (0.0, 4.0)  # standard deviation of the blur of what is mirrored
OVER_BACKGROUND_SHARE = 0.4  # of the widened photos
SQUARES = (5, 8)  # fewest and most squares along a side of a shuffled photo
TRIES = 30  # places that are tried for a head before it is left out
SHEET_COUNT = 12


class Crowd(NamedTuple):
    """A picture of several faces.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        box: (N, 4) float32, x1 y1 x2 y2 px.
    """

    picture: Image
    box: NDArray[np.float32]


def surroundings(picture: Image, box: NDArray[np.float32]) -> Image | None:
    """Fill a picture with the wider strip beside a face, mirrored again and again.

    Args:
        picture: (H, W, 3) uint8 RGB.
        box: (4,) of its face, px.

    Returns:
        (BACKGROUND_PX, BACKGROUND_PX, 3), or None where both strips are narrow.
    """
    margin = MARGIN * float(box[2] - box[0])
    left, right = picture[:, : max(int(box[0] - margin), 0)], picture[:, max(int(box[2] + margin), 0) :]
    strip = left if left.shape[1] >= right.shape[1] else right
    if strip.shape[1] < MIN_STRIP_PX:
        return None
    period = np.concatenate([strip, strip[:, ::-1]], 1)
    columns = -(-picture.shape[1] // period.shape[1])
    wide = np.tile(period, (1, columns, 1))[:, : picture.shape[1]]
    return np.asarray(cv2.resize(wide, (BACKGROUND_PX, BACKGROUND_PX), interpolation=cv2.INTER_LINEAR), np.uint8)


def shuffled(picture: Image, rng: np.random.Generator) -> Image:
    """Cut a photo (H, W, 3) into squares and lay them in another order, rotated and mirrored -> (BACKGROUND_PX, BACKGROUND_PX, 3)."""
    along = int(rng.integers(SQUARES[0], SQUARES[1] + 1))
    side = -(-BACKGROUND_PX // along)
    whole = cv2.resize(picture, (side * along, side * along), interpolation=cv2.INTER_LINEAR)
    squares = whole.reshape(along, side, along, side, 3).transpose(0, 2, 1, 3, 4).reshape(-1, side, side, 3)
    laid = [np.rot90(square, rng.integers(4))[:, :: int(rng.choice([-1, 1]))] for square in squares[rng.permutation(len(squares))]]
    return picture_grid(laid, along)[:BACKGROUND_PX, :BACKGROUND_PX].copy()


def make_backgrounds(packs: Sequence[Pack], count: int, rng: np.random.Generator) -> list[Image]:
    """Make pictures (S, S, 3) without faces: of each of the three kinds a third; more drawn ones if too few photos show surroundings."""
    strips, photos = [], []
    for pack in packs:
        rows = lone_faces(pack)
        found = (surroundings(pack.pictures[pack.faces.image[row]], pack.faces.box[row]) for row in rows)
        strips += [strip for strip in found if strip is not None]
        photos += [pack.pictures[pack.faces.image[row]] for row in rows]
    made = [strips[i] for i in rng.permutation(len(strips))[: count // 3]]
    made += [shuffled(photos[i], rng) for i in rng.permutation(len(photos))[: count // 3]]
    made += [random_background(BACKGROUND_PX, BACKGROUND_PX, rng) for _ in range(count - len(made))]
    return [made[i] for i in rng.permutation(count)]


def compose_crowd(packs: Sequence[Pack], rows: Sequence[NDArray[np.int64]], background: Image, rng: np.random.Generator) -> Crowd:
    """Put heads side by side over a background.

    Args:
        packs: Where the heads come from; each is as likely as the others.
        rows: The faces of each pack that may be used.
        background: (S, S, 3) uint8 RGB.
        rng: Source of randomness.
    """
    height, width = SCENE_PX
    picture = cv2.resize(background, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    boxes: list[NDArray[np.float32]] = []
    places: list[tuple[float, float, float]] = []  # x, y and height of the faces
    typical = np.exp(rng.uniform(*np.log(FACE_PX)))  # the faces of a photo are of about one size
    for _ in range(int(rng.integers(FACES[0], FACES[1] + 1))):
        tall = float(np.clip(typical * np.exp(rng.normal(0, 0.35)), *FACE_PX))
        for _ in range(TRIES):
            # The centers are so far from each other that no head hides a face.
            x, y = rng.uniform(0.3 * tall, width - 0.3 * tall), rng.uniform(0.3 * tall, height - 0.3 * tall)
            if all(np.hypot(x - a, y - b) > 0.5 * (tall + t) + (HEAD[1] - 0.5) * max(tall, t) for a, b, t in places):
                break
        else:
            continue
        source = int(rng.integers(len(packs)))
        row = int(rng.choice(rows[source]))
        face = packs[source].faces[[row]]
        box = _paste(picture, packs[source].pictures[face.image[0]], face.box[0], (x, y, tall), rng)
        boxes.append(box)
        places.append((x, y, tall))
    return Crowd(np.clip(picture, 0, 255).astype(np.uint8), np.array(boxes, np.float32).reshape(-1, 4))


def _paste(
    target: NDArray[np.float32], picture: Image, box: NDArray[np.float32], place: tuple[float, float, float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Paste a head into `target` at (x, y), its box `tall` px high. Returns the new box (4,), cut at the borders."""
    x, y, tall = place
    scale = tall / float(box[3] - box[1])
    if scale < 1:  # as a camera sees it: no px of the photo is left out
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        ratio = np.array([small.shape[1] / picture.shape[1], small.shape[0] / picture.shape[0]])
    else:
        small, ratio = picture, np.ones(2)
    middle, half = (box[:2] + box[2:]) / 2 * ratio, (box[2:] - box[:2]) / 2 * scale
    zoom = max(scale, 1.0)
    matrix = np.array([[zoom, 0, x - zoom * middle[0]], [0, zoom, y - zoom * middle[1]]])
    if rng.random() < 0.5:
        matrix[0] = [-zoom, 0, x + zoom * middle[0]]
    size = target.shape[1], target.shape[0]
    head = cv2.warpAffine(small, matrix, size, flags=cv2.INTER_LINEAR)
    inside = cv2.warpAffine(np.ones(small.shape[:2], np.float32), matrix, size, flags=cv2.INTER_LINEAR)
    rows, columns = np.mgrid[: target.shape[0], : target.shape[1]].astype(np.float32)
    radius = np.hypot((columns - x) / (2 * HEAD[0] * half[0]), (rows - y) / (2 * HEAD[1] * half[1]))
    alpha = (np.clip((1 - radius) / FEATHER, 0, 1) * inside)[..., None]
    target[:] = target * (1 - alpha) + head * alpha
    limits = np.array([*size, *size], np.float32)
    return np.clip(np.array([x - half[0], y - half[1], x + half[0], y + half[1]], np.float32), 0, limits)


def widen(picture: Image, face: Faces, background: Image, rng: np.random.Generator) -> tuple[Image, Faces]:
    """Put more around a face: what lies at the borders of its photo, mirrored and blurred, or a background around the head.

    Args:
        picture: (H, W, 3) uint8 RGB.
        face: Its face, one row.
        background: (S, S, 3) uint8 RGB.
        rng: Source of randomness.

    Returns:
        The larger picture, and the face in px of it.
    """
    down, right = (round(WIDENING * side) for side in picture.shape[:2])
    wide = cv2.copyMakeBorder(picture, down, down, right, right, cv2.BORDER_REFLECT_101)
    size, corner = (wide.shape[1], wide.shape[0]), np.array([right, down], np.float32)
    moved = face.replace(image=np.zeros(1, np.int32), box=face.box + np.tile(corner, 2), center=face.center + corner)
    around = cv2.GaussianBlur(wide, (0, 0), max(rng.uniform(*MIRROR_BLUR_PX), 0.1))
    inset = rng.uniform(0.0, 0.12, 4) * np.array([picture.shape[1], picture.shape[0]] * 2)  # left, top, right, bottom
    mask = np.zeros(wide.shape[:2], np.float32)
    if rng.random() < OVER_BACKGROUND_SHARE:
        around = cv2.resize(background, size, interpolation=cv2.INTER_LINEAR)
        middle, half = (moved.box[0, :2] + moved.box[0, 2:]) / 2, (moved.box[0, 2:] - moved.box[0, :2]) * HEAD * rng.uniform(0.8, 1.3, 2)
        cv2.ellipse(mask, tuple(map(int, middle)), tuple(map(int, half)), 0, 0, 360, 1.0, -1)
        outside = np.ones_like(mask)
        outside[down : down + picture.shape[0], right : right + picture.shape[1]] = 0
        mask *= 1 - outside
    else:
        left, top, right_cut, bottom = inset.astype(int)
        mask[down + top : down + picture.shape[0] - bottom, right + left : right + picture.shape[1] - right_cut] = 1
    alpha = cv2.GaussianBlur(mask, (0, 0), rng.uniform(1.0, 6.0))[..., None]
    return np.asarray(wide * alpha + around * (1 - alpha), np.uint8), moved


def write_widened(folder: Path, pack: Pack, backgrounds: Sequence[Image], rng: np.random.Generator) -> None:
    """Write the pack `widened`: each lone face of a pack once."""
    rows = lone_faces(pack)
    behind = rng.integers(len(backgrounds), size=len(rows))
    made = [
        widen(pack.pictures[pack.faces.image[row]], pack.faces[[row]], backgrounds[k], rng)
        for row, k in tqdm(zip(rows, behind, strict=True), total=len(rows), unit="photo", mininterval=5)
    ]
    coded, faces = [encode_jpeg(picture) for picture, _ in made], Faces.concatenate([face for _, face in made])
    write_pack(folder, "widened", coded, faces.replace(image=np.arange(len(faces), dtype=np.int32)))
    write_image(folder / "sheet.png", picture_grid([cv2.resize(picture, (200, 200)) for picture, _ in made[:32]], 8))


def write_scenes(folder: Path, crowds: Sequence[Crowd]) -> None:
    """Write crowds as `scenes.tar` and `scenes.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_pictures(folder / "scenes.tar", [encode_jpeg(crowd.picture) for crowd in crowds])
    arrays = {
        "picture_size": np.array([crowd.picture.shape[1::-1] for crowd in crowds], np.int32),
        "box": np.concatenate([crowd.box for crowd in crowds]),
        "box_picture": np.repeat(np.arange(len(crowds), dtype=np.int32), [len(crowd.box) for crowd in crowds]),
    }
    atomic_write(folder / "scenes.npz", lambda temporary: np.savez_compressed(temporary, **arrays))  # type: ignore[arg-type]


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--pack", action="append", required=True, metavar="PATH", help="pack without its suffix, with labels beside it")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--backgrounds", type=int, default=800, help="number of pictures without faces")
    parser.add_argument("--scenes", type=int, default=600, help="number of crowds; 0 for none")
    parser.add_argument("--widened", action=argparse.BooleanOptionalAction, default=True, help="also widen the first pack")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    packs = [training_pack(*locate_pack(Path(), Path(), name)) for name in args.pack]
    rows = [lone_faces(pack) for pack in packs]
    backgrounds = make_backgrounds(packs, args.backgrounds, rng)
    args.out.mkdir(parents=True, exist_ok=True)
    write_pictures(args.out / "backgrounds.tar", [encode_jpeg(picture) for picture in backgrounds])
    write_image(args.out / "backgrounds.png", picture_grid(backgrounds[:: max(len(backgrounds) // 24, 1)][:24], 6))
    if args.widened:
        write_widened(args.out / "widened", packs[0], backgrounds, rng)
    if args.scenes:
        behind = (backgrounds[int(rng.integers(len(backgrounds)))] for _ in range(args.scenes))
        crowds = [compose_crowd(packs, rows, picture, rng) for picture in tqdm(behind, total=args.scenes, unit="crowd")]
        write_scenes(args.out / "scenes", crowds)
        write_image(args.out / "scenes" / "sheet.png", picture_grid([crowd.picture for crowd in crowds[:SHEET_COUNT]], 4))


if __name__ == "__main__":
    main()
