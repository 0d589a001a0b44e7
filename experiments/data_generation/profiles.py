"""Make a pack of large head poses, profiles and nods, from fitted faces of other packs, with exactly rotated labels.

    python -m experiments.data_generation.profiles --data data --labels runs/labels --out runs/profiles --count 8000

`mfn.synthesis.photo_edits.pose_edit` rotates the faces. A face is rotated further to the side that it already looks to, so that the
camera saw the side that comes into view. The script writes profiles.tar, profiles.npz and labels/profiles.npz into
--out, in the form of the other packs, and sheet.png for a check by eye.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.common import add_packs_option, make_parser, packs_of
from mfn.structures.camera import euler_from_rotation
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.face_painter import FacePainter
from mfn.synthesis.photo_edits.pose_edit import rotate_and_repaint
from mfn.training.packs.reader import Pack, read_pack, read_pictures
from mfn.training.packs.writer import write_contact_sheet, write_pack
from retarget.geometry.rotations import rotation_about
from retarget.io.images import Image, encode_jpeg

SHARES = {"lfw": 0.65, "youtube": 0.25, "masks_without": 0.1}  # pack -> share of the faces
MAX_TURN = np.radians(68)
MIN_YAW, MAX_YAW = np.radians(30), np.radians(96)
MIN_TURN = np.radians(10)
LEVEL_SHARE = 0.6  # of the faces that look aside; the others look up or down as well
MAX_NOD_DEG = 32.0  # of these others
NEW_BACKGROUND_SHARE = 0.25  # of the pictures; the background of the others is continued by inpainting
SHEET_COUNT = 96


class Turn(NamedTuple):
    """Hold the row of a face and a rotation (3, 3) in the camera's frame."""

    row: int
    rotation: NDArray[np.float64]


def training_pack(folder: Path, labels: Path, name: str) -> Pack:
    """Read a pack without the faces of the photos that are held out for validation, so that no edit of them is trained on."""
    pack = read_pack(folder, labels, name)
    return pack.select(~pack.held_out())


def lone_faces(pack: Pack, min_height_px: float = 40) -> NDArray[np.int64]:
    """Return the rows of fitted faces that are higher than `min_height_px` and alone in their picture."""
    everyone = np.concatenate([pack.faces.image, pack.ignore_image])
    single = np.bincount(everyone, minlength=len(pack.pictures)) == 1
    tall = pack.faces.box[:, 3] - pack.faces.box[:, 1] > min_height_px
    return np.flatnonzero(pack.has_labels & tall & single[pack.faces.image])


def pitch_and_yaw(pitch: float, yaw: float) -> NDArray[np.float64]:
    """Return the rotation (3, 3) about the vertical axis by `yaw`, then about the horizontal axis by `pitch`, radians."""
    return np.asarray(rotation_about("x", pitch) @ rotation_about("y", yaw), np.float64)


def draw_turn(faces: Faces, nod_share: float, rng: np.random.Generator) -> Turn:
    """Draw one of the faces and a rotation for it.

    Args:
        faces: Frontal and slightly turned faces.
        nod_share: Share of the faces that are rotated up or down; the others are rotated aside.
        rng: Random numbers.

    A face that is rotated aside gets a yaw drawn evenly from MIN_YAW to MAX_YAW, on the side that it looks to. It is
    chosen among the faces that need no more than MAX_TURN for this; otherwise full profiles would be missing, because few
    photos are near them.
    """
    yaw = euler_from_rotation(faces.rotation)[:, 1]
    if rng.random() < nod_share:
        nod, turn = np.radians(rng.uniform(10, 38)) * rng.choice([-1.0, 1.0]), np.radians(rng.normal(0, 12))
        return Turn(int(rng.integers(len(faces))), pitch_and_yaw(nod, turn))
    goal = rng.uniform(MIN_YAW, MAX_YAW)
    near = np.flatnonzero(np.abs(yaw) >= goal - MAX_TURN)
    row = int(rng.choice(near)) if len(near) else int(np.abs(yaw).argmax())
    side = np.sign(yaw[row]) if abs(yaw[row]) > np.radians(4) else rng.choice([-1.0, 1.0])
    turn = float(np.clip(goal - abs(yaw[row]), MIN_TURN, MAX_TURN)) * side
    level = rng.random() < LEVEL_SHARE
    nod = np.radians(rng.normal(0, 9) if level else rng.uniform(-MAX_NOD_DEG, MAX_NOD_DEG))
    return Turn(row, pitch_and_yaw(nod, turn))


def make(
    packs: Mapping[str, Pack], backgrounds: Sequence[Image], count: int, nod_share: float, seed: int, shares: Mapping[str, float] = SHARES
) -> tuple[list[bytes], Faces]:
    """Make `count` JPEG files and the face of each.

    Args:
        packs: Packs with fitted faces.
        backgrounds: Photos without faces.
        count: Number of pictures.
        nod_share: Share of the faces that look up or down.
        seed: Seed of the random numbers.
        shares: Name of each pack -> share of the faces.
    """
    import cv2

    model, rng = HeadModel.load(), np.random.default_rng(seed)
    painter = FacePainter(model)
    choice = {name: pack.faces[lone_faces(pack)] for name, pack in packs.items()}
    share = np.array([shares[name] for name in packs])
    names = rng.choice(list(packs), count, p=share / share.sum())
    coded, faces = [], []
    for number, name in enumerate(tqdm(names, unit="face")):
        row, turn = draw_turn(choice[name], nod_share, rng)
        face = choice[name][[row]]
        picture = packs[name].pictures[int(face.image[0])]
        background = None
        if rng.random() < NEW_BACKGROUND_SHARE:
            background = cv2.resize(backgrounds[int(rng.integers(len(backgrounds)))], picture.shape[1::-1])
        turned, moved = rotate_and_repaint(picture, face, painter, turn, background)
        faces.append(moved.replace(box=model.boxes(moved), image=np.array([number], np.int32)))
        coded.append(encode_jpeg(turned))
    return coded, Faces.concatenate(faces)


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/ and backgrounds.tar")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new pack")
    parser.add_argument("--count", type=int, default=8000, help="number of pictures")
    parser.add_argument("--nods", type=float, default=0.4, help="share of the faces that look up or down, not aside")
    parser.add_argument("--seed", type=int, default=0)
    add_packs_option(parser, SHARES)
    args = parser.parse_args()
    shares = packs_of(args)
    packs = {name: training_pack(args.data / "faces", args.labels, name) for name in shares}
    start = time.perf_counter()
    coded, faces = make(packs, read_pictures(args.data / "backgrounds.tar"), args.count, args.nods, args.seed, shares)
    print(f"{len(coded) / (time.perf_counter() - start):.1f} faces a second")
    write_pack(args.out, "profiles", coded, faces)
    points = HeadModel.load().landmarks(faces[:SHEET_COUNT], "ibug68")
    write_contact_sheet(args.out / "sheet.png", coded[:SHEET_COUNT], list(points))


if __name__ == "__main__":
    main()
