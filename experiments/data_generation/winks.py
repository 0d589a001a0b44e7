"""Make a pack of photos with one eye of another photo: winks, and as many even pairs of lids, with labels.

    python -m experiments.data_generation.winks --data data --labels runs/labels --out runs/winks --count 5000

`mfn.synthesis.photo_edits.eye_swap` gives a face one eye of another photo of about the same pose: a shut one to a face with open
eyes, or an open one to a face with shut eyes. Half of the pictures get an eye as open as the old one: without them, a network takes the
blended patch, or light from one side, for a wink. Many people narrow the open eye when they wink: with --narrow, a share of the open
eyes is narrow, so that a network does not take such an eye for a half-shut one. The label takes lid and gaze of this eye from the other
photo. Photos that are held out for validation are not used. The script writes winks.tar, winks.npz and labels/winks.npz into --out, in
the form of the other packs, and sheet.png.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.common import add_packs_option, make_parser, packs_of, picture_grid
from experiments.data_generation.profiles import lone_faces, training_pack
from mfn.structures.camera import euler_from_rotation
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.photo_edits.eye_swap import SIDES, swap_eye
from mfn.training.packs.reader import Pack
from mfn.training.packs.writer import write_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image, decode_image, encode_jpeg, write_image

SOURCES = ("youtube", "lfw", "expressions")
BLINKS = [EXPRESSION_NAMES.index(f"eyeBlink{side}") for side in SIDES]
SQUINTS = [EXPRESSION_NAMES.index(f"eyeSquint{side}") for side in SIDES]
SHUT, OPEN = 0.72, 0.25  # labels of both lids of a face with shut and with open eyes
NARROW_BLINK, NARROW_SQUINT = (0.12, 0.42), 0.4  # labels of both eyes of a face with narrow eyes: limits of the blink, least squint
MIN_HEIGHT_PX, MAX_YAW_DEG, MAX_PITCH_DEG = 75, 28, 22
MAX_POSE_DIFFERENCE_DEG = 13
OPEN_TARGET_SHARE = 0.6  # of the winks, a shut eye in a face with open eyes
EVEN_SHARE = 0.5  # of the pictures, no wink
EVEN_OPEN_SHARE = 0.75  # of these, faces with open eyes
MIN_DIFFERENCE = 0.45  # between the two lids of a wink
MAX_EVEN_DIFFERENCE = 0.3  # between the two lids of other pictures
MAX_TRIES = 20  # for each wink
SHEET_COUNT = 48


class Portraits(NamedTuple):
    """Hold N faces, the photo of each, and their pitch, yaw and roll (N, 3) in degrees."""

    faces: Faces
    photos: list[Image]
    angles_deg: NDArray[np.float64]


class Winks(NamedTuple):
    """Hold the JPEG files and the face of each."""

    coded: list[bytes]
    faces: Faces


def read_portraits(packs: Sequence[Pack]) -> Portraits:
    """Choose lone, large, frontal faces."""
    faces, photos = [], []
    for pack in packs:
        rows = lone_faces(pack, MIN_HEIGHT_PX)
        pitch_deg, yaw_deg, _ = np.abs(np.degrees(euler_from_rotation(pack.faces.rotation[rows]))).T
        rows = rows[(yaw_deg < MAX_YAW_DEG) & (pitch_deg < MAX_PITCH_DEG)]
        faces.append(pack.faces[rows])
        photos += [pack.pictures[number] for number in pack.faces.image[rows]]
    every = Faces.concatenate(faces)
    return Portraits(every, photos, np.degrees(euler_from_rotation(every.rotation)))


def draw_pair(
    portraits: Portraits, groups: Mapping[str, NDArray[np.int64]], narrow_share: float, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Draw a face and another one for its new eye, of about the same pose; None if there is no other."""
    opened = "narrow" if narrow_share and rng.random() < narrow_share else "open"
    if rng.random() < EVEN_SHARE:
        first = second = opened if rng.random() < EVEN_OPEN_SHARE else "shut"
    else:
        first, second = (opened, "shut") if rng.random() < OPEN_TARGET_SHARE else ("shut", opened)
    target = int(rng.choice(groups[first]))
    pool = groups[second]
    difference = np.abs(portraits.angles_deg[pool] - portraits.angles_deg[target])[:, :2].max(1)
    pool = pool[difference < MAX_POSE_DIFFERENCE_DEG]
    return (target, int(rng.choice(pool))) if len(pool) else None


def eye_groups(expression: NDArray[np.float32]) -> dict[str, NDArray[np.int64]]:
    """Return the numbers of the faces with shut, open and narrow eyes, by their expressions (N, 51)."""
    blink, squint = expression[:, BLINKS], expression[:, SQUINTS]
    narrow = (blink > NARROW_BLINK[0]) & (blink < NARROW_BLINK[1]) & (squint > NARROW_SQUINT)
    return {name: np.flatnonzero(eyes.all(1)) for name, eyes in (("shut", blink > SHUT), ("open", blink < OPEN), ("narrow", narrow))}


def make(portraits: Portraits, count: int, seed: int, narrow_share: float = 0.0) -> Winks:
    """Make `count` winks; fewer if the faces do not allow so many.

    Args:
        portraits: The faces.
        count: Number of winks.
        seed: Seed of the random numbers.
        narrow_share: Share of the open eyes that are narrow.

    Raises:
        ValueError: No face with open, with shut or, where they are needed, with narrow eyes.
    """
    model, rng = HeadModel.load(), np.random.default_rng(seed)
    groups = eye_groups(portraits.faces.expression)
    for name in ("shut", "open", "narrow") if narrow_share else ("shut", "open"):
        if not len(groups[name]):
            raise ValueError(f"expected faces with {name} eyes, found none of {len(portraits.faces)}")
    coded: list[bytes] = []
    faces: list[Faces] = []
    with tqdm(total=count, unit="face", mininterval=5) as bar:
        for _ in range(MAX_TRIES * count):
            if len(coded) == count:
                break
            pair = draw_pair(portraits, groups, narrow_share, rng)
            if pair is None:
                continue
            target, donor = pair
            side = SIDES[rng.integers(len(SIDES))]
            every = portraits.faces
            got = swap_eye(portraits.photos[target], every[[target]], portraits.photos[donor], every[[donor]], side, model)
            if got is None:
                continue
            difference = abs(float(np.diff(got.face.expression[0, BLINKS])[0]))
            if MAX_EVEN_DIFFERENCE < difference < MIN_DIFFERENCE:
                continue
            faces.append(got.face.replace(image=np.array([len(coded)], np.int32), box=model.boxes(got.face)))
            coded.append(encode_jpeg(got.picture))
            bar.update()
    return Winks(coded, Faces.concatenate(faces))


def draw_sheet(path: Path, winks: Winks, columns: int = 8, side_px: int = 220) -> None:
    """Draw the first winks, each cut to its face."""
    tiles: list[Image] = []
    for data, box in zip(winks.coded[:SHEET_COUNT], winks.faces.box, strict=False):
        x1, y1, x2, y2 = np.maximum(box, 0).astype(int)
        tile = decode_image(data)[y1:y2, x1:x2]
        tiles.append(np.asarray(cv2.resize(tile, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8))
    write_image(path, picture_grid(tiles, columns))


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new pack")
    parser.add_argument("--count", type=int, default=5000, help="number of pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--narrow", type=float, default=0.0, metavar="SHARE", help="share of open eyes that are narrow (default: 0)")
    add_packs_option(parser, dict.fromkeys(SOURCES, 1.0))
    args = parser.parse_args()
    if not 0 <= args.narrow <= 1:
        parser.error(f"--narrow: expected a share from 0 to 1, got {args.narrow:g}")
    portraits = read_portraits([training_pack(args.data / "faces", args.labels, name) for name in packs_of(args)])
    winks = make(portraits, args.count, args.seed, args.narrow)
    write_pack(args.out, "winks", winks.coded, winks.faces)
    draw_sheet(args.out / "sheet.png", winks)
    print(f"{len(winks.coded)} winks in {args.out}")


if __name__ == "__main__":
    main()
