"""Label every face of the packs with a trained single-face network: the weak supervision that the MFN paper publishes.

    python -m experiments.labels.from_network --network sfn.onnx --labels runs/labels --out runs/labels_sfn

The fitted labels supply the boxes. The script writes label files of the same form with the network's pose, identity and
expression and the box that follows from them; `ok` and all other fields are kept. It prints the CPU time of each pack.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.common import make_parser
from mfn.inference.single_face import SingleFace
from mfn.training.packs.reader import read_pictures
from retarget.io.files import atomic_write
from retarget.io.images import Image

FIELDS = ("box", "rotation", "scale", "center", "identity", "expression")


def relabel(
    pictures: Sequence[Image], picture_of_face: NDArray[np.int64], labels: dict[str, NDArray[Any]], network: SingleFace
) -> None:
    """Replace FIELDS of the labels with the network's predictions, in place.

    Args:
        pictures: The pack's pictures.
        picture_of_face: (F,) picture of each face of the pack.
        labels: The fitted labels.
        network: A network that predicts parameters.
    """
    image = picture_of_face[labels["face"]]
    for number in tqdm(np.unique(image), unit="picture", leave=False):
        rows = np.flatnonzero(image == number)
        faces = network(pictures[number], labels["box"][rows])
        for field in FIELDS:
            labels[field][rows] = getattr(faces, field)


def relabel_pack(path: Path, data: Path, out: Path, network: SingleFace) -> int:
    """Relabel one pack and return the number of its faces.

    Args:
        path: The fitted label file.
        data: Folder with faces/.
        out: Folder of the new label file.
        network: A network that predicts parameters.
    """
    with np.load(path, allow_pickle=False) as file:
        labels: dict[str, Any] = {name: np.array(file[name]) for name in file.files}
    with np.load(data / "faces" / path.name, allow_pickle=False) as file:
        picture_of_face = file["face_picture"].astype(np.int64)
    relabel(read_pictures(data / "faces" / f"{path.stem}.tar"), picture_of_face, labels, network)
    atomic_write(out / path.name, lambda temporary: np.savez_compressed(temporary, **labels))
    return len(labels["face"])


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--network", type=Path, required=True, help="ONNX file of a network that predicts parameters")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new labels")
    args = parser.parse_args()
    network = SingleFace.load(args.network, threads=1)
    if network.kind != "parameters":
        raise ValueError(f"{args.network}: expected a network that predicts parameters, got one of kind {network.kind}")
    args.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(args.labels.glob("*.npz")):
        start = time.process_time()
        count = relabel_pack(path, args.data, args.out, network)
        print(f"{path.stem}: {count} faces, {time.process_time() - start:.0f} s of CPU time", flush=True)


if __name__ == "__main__":
    main()
