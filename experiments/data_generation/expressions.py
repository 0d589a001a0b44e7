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

from experiments.data_generation.profiles import alone
from mfn.structures.camera import euler_from_rotation
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel, face_box
from mfn.synthesis.expression_edit import ExpressionEditor
from mfn.training.data.pack_writer import write_pack
from mfn.training.data.packs import Pack, read_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import encode_jpeg

SHARES = {"lfw": 0.5, "utkface": 0.3, "youtube": 0.2}
MOST_MADE = 0.16  # an edit that had to paint more of the face than this is not kept
SIDES = ("Left", "Right")
MOUTH = tuple(k for k, n in enumerate(EXPRESSION_NAMES) if n.startswith(("mouth", "jaw", "cheekPuff")))

Weights = dict[str, tuple[float, float]]
# name -> least and most of each shape; a name without a side is given to both. Drawn by the first number's share.
CHANGES: tuple[tuple[float, Weights], ...] = (
    (3, {"eyeBlink": (0.85, 1.0), "eyeLookDown": (0.2, 0.6)}),
    (1, {"eyeBlink": (0.3, 0.8), "eyeLookDown": (0.1, 0.5)}),
    (1.5, {"eyeBlinkLeft": (0.85, 1.0), "cheekSquintLeft": (0.2, 0.6), "eyeSquintLeft": (0.2, 0.8)}),
    (1.5, {"eyeBlinkRight": (0.85, 1.0), "cheekSquintRight": (0.2, 0.6), "eyeSquintRight": (0.2, 0.8)}),
    (3, {"jawOpen": (0.3, 0.95), "mouthClose": (0, 0)}),
    (1, {"jawOpen": (0.2, 0.6), "mouthClose": (0, 0), "mouthFunnel": (0.3, 0.8)}),
    (1, {"jawOpen": (0.3, 0.7), "mouthClose": (0, 0), "browInnerUp": (0.4, 0.9), "browOuterUp": (0.4, 0.9)}),
    (1.5, {"mouthSmile": (0.5, 1.0), "cheekSquint": (0.2, 0.5)}),
    (0.7, {"mouthSmileLeft": (0.5, 0.9), "mouthDimpleLeft": (0.0, 0.4)}),
    (0.7, {"mouthSmileRight": (0.5, 0.9), "mouthDimpleRight": (0.0, 0.4)}),
    (1, {"mouthSmile": (0, 0.05), "mouthFrown": (0.4, 0.9), "browDown": (0.2, 0.7)}),
    (1.5, {"mouthPucker": (0.5, 1.0), "mouthSmile": (0, 0.05)}),
    (0.7, {"mouthLeft": (0.4, 0.9)}),
    (0.7, {"mouthRight": (0.4, 0.9)}),
    (0.7, {"jawLeft": (0.4, 0.9)}),
    (0.7, {"jawRight": (0.4, 0.9)}),
    (0.7, {"jawForward": (0.5, 1.0)}),
    (1, {"cheekPuff": (0.5, 1.0)}),
    (1, {"noseSneer": (0.4, 1.0), "browDown": (0.3, 0.9)}),
    (1, {"browInnerUp": (0.5, 1.0), "browOuterUp": (0.4, 1.0), "browDown": (0, 0)}),
    (0.7, {"browOuterUpLeft": (0.5, 1.0), "browDownLeft": (0, 0), "browDownRight": (0.4, 0.9)}),
    (0.7, {"browOuterUpRight": (0.5, 1.0), "browDownRight": (0, 0), "browDownLeft": (0.4, 0.9)}),
    (1, {"mouthUpperUp": (0.4, 0.9), "mouthLowerDown": (0.2, 0.7), "mouthClose": (0, 0)}),
    (1, {"mouthRollLower": (0.4, 1.0), "mouthRollUpper": (0.2, 0.9), "mouthPress": (0.2, 0.8)}),
    (0.7, {"mouthStretch": (0.4, 0.9), "mouthLowerDown": (0.1, 0.4)}),
    (0.7, {"mouthShrugLower": (0.4, 1.0), "mouthShrugUpper": (0.2, 0.7)}),
)


def changed(expression: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(51,) one or two of the changes over a fitted expression; where the mouth is changed the rest of it calms down."""
    shares = np.array([share for share, _ in CHANGES])
    out = expression.copy()
    picks = rng.choice(len(CHANGES), int(rng.choice([1, 2], p=[0.65, 0.35])), replace=False, p=shares / shares.sum())
    wanted: dict[int, float] = {}
    for pick in picks:
        for name, (low, high) in CHANGES[pick][1].items():
            weight = float(rng.uniform(low, high))
            names = [name] if name in EXPRESSION_NAMES else [name + side for side in SIDES]
            wanted.update({EXPRESSION_NAMES.index(n): weight for n in names})
    if any(k in MOUTH for k in wanted):
        out[list(MOUTH)] *= rng.uniform(0.1, 0.5)
    for k, weight in wanted.items():
        out[k] = weight
    close, jaw = (EXPRESSION_NAMES.index(name) for name in ("mouthClose", "jawOpen"))
    out[close] = min(out[close], out[jaw])
    return out


def usable(pack: Pack) -> np.ndarray:
    """Rows of well seen faces, alone in their picture: more than 70 px tall, at most 50 degrees aside, 25 up or down."""
    rows = alone(pack, 70)
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
            edit = editor.edit(photo, face, changed(face.expression[0], rng)[None])
            if edit.made > MOST_MADE or edit.moved < 0.25:
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
