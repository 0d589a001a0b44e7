"""Weak supervision as the MFN paper publishes it: a trained single-face network labels every face of the packs.

    python -m experiments.labels.from_network --network sfn.onnx --labels runs/labels --out runs/labels_sfn

Reads the fitted labels for the boxes alone and writes packs of the same form, with the network's pose, identity and expression and the
box that follows from them. `ok` is kept; so is everything else that a label file holds. Speed goes to standard output.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mfn.inference.single_face import SingleFace
from mfn.training.data.packs import read_pictures
from retarget.io.files import atomic_write

FIELDS = ("box", "rotation", "scale", "center", "identity", "expression")


def relabel(pictures: list[np.ndarray], face_picture: np.ndarray, labels: dict[str, np.ndarray], network: SingleFace) -> None:
    """Replaces FIELDS of the labels, in place. face_picture: (F,) the picture of each face of the pack."""
    image = face_picture[labels["face"]]
    for number in tqdm(np.unique(image), unit="picture", leave=False):
        rows = np.flatnonzero(image == number)
        faces = network(pictures[number], labels["box"][rows])
        for field in FIELDS:
            labels[field][rows] = getattr(faces, field)


def main() -> None:
    """Labels every pack that has fitted labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", type=Path, required=True, help="ONNX file of a network of parameters")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--labels", type=Path, required=True, help="folder of fitted labels: where the faces are")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    network = SingleFace.load(args.network, threads=1)
    if network.kind != "parameters":
        raise SystemExit(f"{args.network}: expected a network that predicts parameters, got one of kind {network.kind}")
    args.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(args.labels.glob("*.npz")):
        with np.load(path, allow_pickle=False) as file:
            labels = {name: np.array(file[name]) for name in file.files}
        with np.load(args.data / "faces" / path.name, allow_pickle=False) as file:
            face_picture = file["face_picture"].astype(int)
        start = time.process_time()
        relabel(read_pictures(args.data / "faces" / f"{path.stem}.tar"), face_picture, labels, network)
        atomic_write(args.out / path.name, lambda temporary, labels=labels: np.savez_compressed(temporary, **labels))
        print(f"{path.stem}: {len(labels['face'])} faces, {time.process_time() - start:.0f} s of CPU time", flush=True)


if __name__ == "__main__":
    main()
