"""A pack of synthetic heads: any identity, expression, pose, look and light, with exact labels (`mfn.synthesis.heads`).

    python -m experiments.data_generation.heads --backgrounds DATA/backgrounds.tar --out runs/heads --count 6000

Writes heads.tar, heads.npz and labels/heads.npz below --out, in the form of the other packs, and a sheet to look at.
Ctrl-C stops and writes what there is. `track` in the labels numbers the people: pictures with one number show one identity.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.heads import HeadGenerator
from mfn.training.data.pack_writer import write_contact_sheet, write_pack
from mfn.training.data.packs import read_pictures
from retarget.io.images import encode_jpeg


def main() -> None:
    """Draws, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--backgrounds", type=Path, required=True, help="tar of photos without faces")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--size", type=int, default=200, help="px, the pictures' side")
    parser.add_argument("--samples", type=float, default=1.25, help="px drawn for each px of a side")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, heads = np.random.default_rng(args.seed), HeadGenerator(HeadModel.load(), read_pictures(args.backgrounds))
    coded, faces = [], []
    start = time.perf_counter()
    try:
        for _ in tqdm(range(args.count), unit="head", mininterval=5):
            picture, face = heads.generate(rng, args.size, args.samples)
            faces.append(face)
            coded.append(encode_jpeg(picture))
    except KeyboardInterrupt:  # Ctrl-C: what there is becomes the pack
        faces = faces[: len(coded)]
    print(f"{len(coded) / (time.perf_counter() - start):.1f} heads a second")
    everyone = Faces.concatenate(faces)
    write_pack(args.out, "heads", coded, everyone)
    write_contact_sheet(args.out / "sheet.png", coded[:96], list(heads.model.landmarks(everyone[:96], "ibug68")))


if __name__ == "__main__":
    main()
