"""A pack of large poses, profiles and nods, made from fitted faces of other packs by `mfn.synthesis.pose_edit`, with exactly turned labels.

    python -m experiments.data_generation.profiles --data DATA --labels runs/labels --out runs/profiles --count 8000

Writes profiles.tar, profiles.npz and labels/profiles.npz below --out, in the form of the other packs, and a sheet to look at. A face is
turned the way it already looks, so that the side that comes to show is one the camera saw.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mfn.structures.camera import euler_from_rotation
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.face_painter import FacePainter
from mfn.synthesis.pose_edit import rotate_and_repaint
from mfn.training.data.pack_writer import write_contact_sheet, write_pack
from mfn.training.data.packs import Pack, read_pack, read_pictures
from retarget.geometry.rotations import rotation_about
from retarget.io.images import encode_jpeg

SHARES = {"lfw": 0.55, "youtube": 0.2, "utkface": 0.15, "masks_without": 0.1}
LARGEST_TURN = np.radians(68)
LEAST_YAW, LARGEST_YAW = np.radians(30), np.radians(96)
STEADY, NOD = 0.6, 32.0  # of those who look aside, this share looks level, the others up or down by as many degrees at most
ON_ANOTHER_PHOTO = 0.25  # this share of the turned pictures stands before another photo, the rest before what is carried on of their own


def lone_faces(pack: Pack, least_px: float = 40) -> np.ndarray:
    """Rows of fitted faces, taller than so many px, that are their picture's only face."""
    everyone = np.concatenate([pack.faces.image, pack.ignore_image])
    single = np.bincount(everyone, minlength=len(pack.pictures)) == 1
    tall = pack.faces.box[:, 3] - pack.faces.box[:, 1] > least_px
    return np.flatnonzero(pack.has_labels & tall & single[pack.faces.image])


def draw_turn(faces: Faces, nods: float, rng: np.random.Generator) -> tuple[int, np.ndarray]:
    """One of the faces, and a rotation (3, 3) in the camera's frame that turns it; a share `nods` up or down, the others aside.

    Those end at a yaw drawn evenly from LEAST_YAW to LARGEST_YAW, on the side that the face looks to, and are chosen among the faces that
    need no more than LARGEST_TURN for it: else full profiles, which few photos are near, would be missing.
    """
    yaw = euler_from_rotation(faces.rotation)[:, 1]
    if rng.random() < nods:
        nod, turn = np.radians(rng.uniform(10, 38)) * rng.choice([-1.0, 1.0]), np.radians(rng.normal(0, 12))
        return int(rng.integers(len(faces))), rotation_about("x", np.float32(nod)) @ rotation_about("y", np.float32(turn))
    goal = rng.uniform(LEAST_YAW, LARGEST_YAW)
    near = np.flatnonzero(np.abs(yaw) >= goal - LARGEST_TURN)
    row = int(rng.choice(near)) if len(near) else int(np.abs(yaw).argmax())
    side = np.sign(yaw[row]) if abs(yaw[row]) > np.radians(4) else rng.choice([-1.0, 1.0])
    turn = float(np.clip(goal - abs(yaw[row]), np.radians(10), LARGEST_TURN)) * side
    nod = np.radians(rng.normal(0, 9) if rng.random() < STEADY else rng.uniform(-NOD, NOD))  # who looks aside may look up or down, too
    return row, rotation_about("x", np.float32(nod)) @ rotation_about("y", np.float32(turn))


def make(
    packs: dict[str, Pack], backgrounds: list[np.ndarray], count: int, nods: float, seed: int
) -> tuple[list[bytes], Faces]:
    """`count` coded pictures and the face of each."""
    import cv2


    model, rng = HeadModel.load(), np.random.default_rng(seed)
    painter = FacePainter(model)
    box_of, choice = model.boxes, {name: pack.faces[lone_faces(pack)] for name, pack in packs.items()}
    names = rng.choice(list(packs), count, p=[SHARES[n] for n in packs] / np.sum([SHARES[n] for n in packs]))
    coded, faces = [], []
    for number, name in enumerate(tqdm(names, unit="face")):
        row, turn = draw_turn(choice[name], nods, rng)
        face = choice[name][[row]]
        picture = packs[name].pictures[int(face.image[0])]
        other = rng.random() < ON_ANOTHER_PHOTO
        behind = cv2.resize(backgrounds[rng.integers(len(backgrounds))], picture.shape[1::-1]) if other else None
        turned, moved = rotate_and_repaint(picture, face, painter, turn, behind)
        faces.append(moved.replace(box=box_of(moved), image=np.array([number])))
        coded.append(encode_jpeg(turned))
    return coded, Faces.concatenate(faces)


def main() -> None:
    """Reads, turns, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/ and backgrounds.tar")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--nods", type=float, default=0.4, help="share of the faces that look up or down, not aside")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    packs = {name: read_pack(args.data / "faces", args.labels, name) for name in SHARES}
    start = time.perf_counter()
    coded, faces = make(packs, read_pictures(args.data / "backgrounds.tar"), args.count, args.nods, args.seed)
    print(f"{len(coded) / (time.perf_counter() - start):.1f} profiled faces a second")
    write_pack(args.out, "profiles", coded, faces)
    write_contact_sheet(args.out / "sheet.png", coded[:96], list(HeadModel.load().landmarks(faces[:96], "ibug68")))


if __name__ == "__main__":
    main()
