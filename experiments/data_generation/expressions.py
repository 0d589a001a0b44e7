"""Make a pack of real photos with changed expressions, with exact labels: closed eyes, winks, open jaws, brows, puckers.

    python -m experiments.data_generation.expressions --data data --labels runs/labels --out runs/edits --count 6000

`mfn.synthesis.photo_edits.expression_edit` changes the photos. The script writes edits.tar, edits.npz and labels/edits.npz into
--out, in the form of the other packs, and sheet.png for a check by eye: above each edit the photo it was made from.
Ctrl-C stops and writes what there is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
from mfn.synthesis.expressions import CHANGED_SHAPES, CHANGES, ExpressionChange, change_expression, changes_of
from mfn.synthesis.photo_edits.expression_edit import ExpressionEditor
from mfn.training.packs.reader import Pack
from mfn.training.packs.writer import write_pack
from retarget.io.images import Image, decode_image, encode_jpeg, write_image

SHARES = {"lfw": 0.7, "youtube": 0.3}  # pack -> share of the faces
MIN_HEIGHT_PX, MAX_YAW_DEG, MAX_PITCH_DEG = 70, 50, 25  # of a face that is edited
MAX_PAINTED_SHARE = 0.16  # an edit that had to paint more of the face is not kept
MIN_MOTION_PX = 0.25  # an edit that moved the face less is not kept
SHEET_COUNT = 48


class Edits(NamedTuple):
    """Hold the JPEG files, the face of each, and the first photos before the edit."""

    coded: list[bytes]
    faces: Faces
    photos: list[Image]


def editable_faces(pack: Pack) -> NDArray[np.int64]:
    """Return the rows of lone faces that are high enough and not turned far."""
    rows = lone_faces(pack, MIN_HEIGHT_PX)
    pitch_deg, yaw_deg, _ = np.abs(np.degrees(euler_from_rotation(pack.faces.rotation[rows]))).T
    return np.asarray(rows[(yaw_deg < MAX_YAW_DEG) & (pitch_deg < MAX_PITCH_DEG)])


def make(
    packs: Mapping[str, Pack], count: int, seed: int, shares: Mapping[str, float] = SHARES, changes: Sequence[ExpressionChange] = CHANGES
) -> Edits:
    """Make `count` edits, each of one or two of the changes; fewer after Ctrl-C."""
    editor, rng = ExpressionEditor(HeadModel.load()), np.random.default_rng(seed)
    rows = {name: editable_faces(pack) for name, pack in packs.items()}
    share = np.array([shares[name] for name in packs]) / sum(shares[name] for name in packs)
    coded: list[bytes] = []
    faces: list[Faces] = []
    photos: list[Image] = []
    with tqdm(total=count, unit="face", mininterval=5) as bar, suppress(KeyboardInterrupt):
        while len(coded) < count:
            pack = packs[str(rng.choice(list(packs), p=share))]
            face = pack.faces[[int(rng.choice(rows[pack.name]))]]
            photo = pack.pictures[int(face.image[0])]
            edit = editor.edit(photo, face, change_expression(face.expression[0], rng, changes)[None])
            if edit.painted_share > MAX_PAINTED_SHARE or edit.mean_motion_px < MIN_MOTION_PX:
                continue
            box = editor.model.boxes(edit.face)
            faces.append(edit.face.replace(box=box, image=np.array([len(coded)], np.int32)))
            if len(photos) < SHEET_COUNT:
                photos.append(photo)
            coded.append(encode_jpeg(edit.picture))
            bar.update()
    return Edits(coded, Faces.concatenate(faces[: len(coded)]), photos[: len(coded)])


def draw_sheet(path: Path, photos: Sequence[Image], coded: Sequence[bytes], columns: int = 8, side_px: int = 220) -> None:
    """Draw rows of photos, and below each row the edits."""
    pairs = [(photo, decode_image(data)) for photo, data in zip(photos, coded, strict=False)]
    tiles: list[Image] = []
    for start in range(0, len(pairs) // columns * columns, columns):
        line = [*(photo for photo, _ in pairs[start : start + columns]), *(edit for _, edit in pairs[start : start + columns])]
        tiles += [np.asarray(cv2.resize(tile, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8) for tile in line]
    if tiles:
        write_image(path, picture_grid(tiles, columns))


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    text = "shape, such as jawLeft, of which every edit changes one; may be repeated (default: all)"
    parser.add_argument("--shape", action="append", default=[], choices=CHANGED_SHAPES, metavar="NAME", help=text)
    parser.add_argument("--out", type=Path, required=True, help="folder of the new pack")
    parser.add_argument("--count", type=int, default=6000, help="number of pictures")
    parser.add_argument("--seed", type=int, default=0)
    add_packs_option(parser, SHARES)
    args = parser.parse_args()
    shares = packs_of(args)
    packs = {name: training_pack(args.data / "faces", args.labels, name) for name in shares}
    start = time.perf_counter()
    edits = make(packs, args.count, args.seed, shares, changes_of(args.shape) if args.shape else CHANGES)
    print(f"{len(edits.coded) / (time.perf_counter() - start):.1f} edits a second")
    write_pack(args.out, "edits", edits.coded, edits.faces)
    draw_sheet(args.out / "sheet.png", edits.photos, edits.coded)


if __name__ == "__main__":
    main()
