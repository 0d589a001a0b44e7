"""Make a pack of synthetic heads: any identity, expression, pose, appearance and light, with exact labels.

    python -m experiments.data_generation.heads --backgrounds data/backgrounds.tar --out runs/heads --count 6000

`mfn.synthesis.heads` draws the heads. The script writes heads.tar, heads.npz and labels/heads.npz into --out, in the form
of the other packs, and sheet.png for a check by eye. With --shape, for example `--shape jawLeft --shape jawRight`, every head shows one of
these shapes over a weak expression, unless a face mask hides it. Ctrl-C stops and writes what there is. `track` in the labels numbers the
people: pictures with one number show one identity.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments.common import make_parser
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.expressions import CHANGED_SHAPES, changes_of
from mfn.synthesis.heads import HeadGenerator
from mfn.synthesis.takes import ExpressionTakes
from mfn.training.packs.reader import read_pictures
from mfn.training.packs.writer import write_contact_sheet, write_pack
from retarget.io.images import Image, encode_jpeg

SHEET_COUNT = 96


def make(draw: Callable[[], tuple[Image, Faces]], count: int) -> tuple[list[bytes], Faces]:
    """Make `count` JPEG files and the face of each; fewer after Ctrl-C. draw: returns a picture and its face."""
    coded: list[bytes] = []
    faces: list[Faces] = []
    try:
        for _ in tqdm(range(count), unit="head", mininterval=5):
            picture, face = draw()
            faces.append(face)
            coded.append(encode_jpeg(picture))
    except KeyboardInterrupt:
        faces = faces[: len(coded)]
    return coded, Faces.concatenate(faces)


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--backgrounds", type=Path, required=True, help="tar of photos without faces")
    parser.add_argument("--takes", type=Path, help="recorded ARKit weights (.npz with `names`, `values`) to draw most expressions from")
    text = "shape, such as jawLeft, of which every head shows one; may be repeated (default: any expression)"
    parser.add_argument("--shape", action="append", default=[], choices=CHANGED_SHAPES, metavar="NAME", help=text)
    parser.add_argument("--out", type=Path, required=True, help="folder of the new pack")
    parser.add_argument("--count", type=int, default=6000, help="number of pictures")
    parser.add_argument("--size", type=int, default=200, help="side of a picture in px")
    parser.add_argument("--samples", type=float, default=1.25, help="samples for each px of a side")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, takes = np.random.default_rng(args.seed), ExpressionTakes.load(args.takes) if args.takes else None
    heads = HeadGenerator(HeadModel.load(), read_pictures(args.backgrounds), takes=takes, changes=changes_of(args.shape))
    start = time.perf_counter()
    coded, faces = make(lambda: heads.generate(rng, args.size, args.samples), args.count)
    print(f"{len(coded) / (time.perf_counter() - start):.1f} heads a second")
    write_pack(args.out, "heads", coded, faces)
    points = heads.model.landmarks(faces[:SHEET_COUNT], "ibug68")
    write_contact_sheet(args.out / "sheet.png", coded[:SHEET_COUNT], list(points))


if __name__ == "__main__":
    main()
