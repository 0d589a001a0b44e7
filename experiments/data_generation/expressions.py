"""A pack of real photos with changed expressions: eyes shut, winks, jaws open, brows, puckers (`mfn.synthesis.expression_edit`), with exact labels.

    python -m experiments.data_generation.expressions --data DATA --labels runs/labels --out runs/edits --count 6000

Writes edits.tar, edits.npz and labels/edits.npz below --out, in the form of the other packs, and a sheet to look at: above each edit the
photo it was made of. Ctrl-C stops and writes what there is.
"""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from experiments.data_generation.profiles import lone_faces
from mfn.structures.camera import euler_from_rotation
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel, face_box
from mfn.synthesis.expression_edit import ExpressionEditor
from mfn.synthesis.expressions import change_expression
from mfn.training.data.pack_writer import write_pack
from mfn.training.data.packs import Pack, read_pack
from retarget.io.images import encode_jpeg

SHARES = {"lfw": 0.5, "utkface": 0.3, "youtube": 0.2}
MOST_MADE = 0.16  # an edit that had to paint more of the face than this is not kept


def usable(pack: Pack) -> np.ndarray:
    """Rows of well seen faces, lone_faces in their picture: more than 70 px tall, at most 50 degrees aside, 25 up or down."""
    rows = lone_faces(pack, 70)
    pitch, yaw, _ = np.abs(np.degrees(euler_from_rotation(pack.faces.rotation[rows]))).T
    return rows[(yaw < 50) & (pitch < 25)]


def make(packs: dict[str, Pack], count: int, seed: int) -> tuple[list[bytes], Faces, list[np.ndarray]]:
    """`count` coded pictures and the face of each; the first photos as they were."""
    editor, rng = ExpressionEditor(HeadModel.load()), np.random.default_rng(seed)
    rows = {name: usable(pack) for name, pack in packs.items()}
    share = np.array([SHARES[name] for name in packs]) / sum(SHARES[name] for name in packs)
    coded: list[bytes] = []
    faces: list[Faces] = []
    photos: list[np.ndarray] = []
    with tqdm(total=count, unit="face", mininterval=5) as bar, suppress(KeyboardInterrupt):
        while len(coded) < count:
            pack = packs[str(rng.choice(list(packs), p=share))]
            face = pack.faces[[int(rng.choice(rows[pack.name]))]]
            photo = pack.pictures[int(face.image[0])]
            edit = editor.edit(photo, face, change_expression(face.expression[0], rng)[None])
            if edit.painted_share > MOST_MADE or edit.mean_motion_px < 0.25:
                continue
            points = editor.model.landmarks(edit.face, "mediapipe478")
            faces.append(edit.face.replace(box=face_box(points), image=np.array([len(coded)])))
            photos.append(photo) if len(photos) < 48 else None
            coded.append(encode_jpeg(edit.picture))
            bar.update()
    faces, photos = faces[: len(coded)], photos[: len(coded)]
    return coded, Faces.concatenate(faces), photos


def sheet(path: Path, photos: list[np.ndarray], coded: list[bytes], columns: int = 8, side: int = 220) -> None:
    """Rows of photos, and below each row what was made of them."""
    rows = []
    for start in range(0, len(photos) // columns * columns, columns):
        made = [
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in coded[start : start + columns]
        ]
        for line in ([photo[..., ::-1] for photo in photos[start : start + columns]], made):
            rows.append(
                np.concatenate([cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA) for tile in line], 1)
            )
    cv2.imwrite(str(path), np.concatenate(rows))


def main() -> None:
    """Reads, changes, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    packs = {name: read_pack(args.data / "faces", args.labels, name) for name in SHARES}
    start = time.perf_counter()
    coded, faces, photos = make(packs, args.count, args.seed)
    print(f"{len(coded) / (time.perf_counter() - start):.1f} edits a second")
    write_pack(args.out, "edits", coded, faces)
    sheet(args.out / "sheet.png", photos, coded)


if __name__ == "__main__":
    main()
