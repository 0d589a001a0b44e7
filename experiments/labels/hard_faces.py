"""Make packs of hard faces with three kinds of labels, to see whether colors make the labels of SFN better.

    python -m experiments.labels.hard_faces --pack runs/fairface/fairface --out runs/hard
    mfn fit --config configs/sfn/default.yaml --config configs/sfn/hard_faces.yaml
    python -m experiments.accuracy.single_face sfn=mfn/weights/sfn.onnx hard-sfn=a.onnx hard-colors=b.onnx hard-landmarks=c.onnx \\
        --eval ../shared/eval --out experiments/results/accuracy/hard_faces.json

The hard faces are those of the pack that look furthest to the side, of the photos that are for training. Each gets the labels of SFN
(pack `sfn`), the same after a fit of the photo's colors by differentiable rendering (`colors`), and those that were fitted to landmarks
(`landmarks`). The pictures are the same.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from experiments.common import make_parser
from experiments.data_generation.profiles import lone_faces, training_pack
from mfn.fitting.fit_basis import basis_from_head_model
from mfn.fitting.fitter import FitResult
from mfn.fitting.photometric import has_pytorch3d, refine
from mfn.inference.single_face import SingleFace
from mfn.structures.camera import euler_from_rotation
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.training.packs.reader import Pack, locate_pack
from mfn.training.packs.writer import write_pack
from retarget.io.images import Image, encode_jpeg

FIT_FIELDS = ("rotation", "scale", "center", "identity", "expression")


def hardest(pack: Pack, count: int) -> np.ndarray:
    """Return the rows of the labeled lone faces with the largest yaw, at most `count`, in the order of the pack."""
    rows = lone_faces(pack)
    yaw = np.abs(euler_from_rotation(pack.faces.rotation[rows])[:, 1])
    return np.sort(rows[np.argsort(-yaw, kind="stable")[:count]])


def refine_by_colors(faces: Faces, pictures: list[Image], model: HeadModel) -> Faces:
    """Return N faces, each alone in its picture (H, W, 3) uint8 RGB, after a fit of the colors."""
    fields = {name: torch.from_numpy(np.ascontiguousarray(getattr(faces, name), np.float32)) for name in FIT_FIELDS}
    found = refine(FitResult(**fields, residual=torch.zeros(len(faces))), pictures, model, basis_from_head_model(model))
    moved = faces.replace(**{name: getattr(found, name).numpy() for name in FIT_FIELDS})
    return moved.replace(box=model.boxes(moved))


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--pack", required=True, help="path of the pack without its suffix, with labels beside it")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new packs")
    parser.add_argument("--count", type=int, default=200, help="number of faces")
    args = parser.parse_args()
    pack, model, network = training_pack(*locate_pack(Path(), Path(), args.pack)), HeadModel.load(), SingleFace.load(threads=1)
    rows = hardest(pack, args.count)
    fitted, numbers = pack.faces[rows], np.arange(len(rows), dtype=np.int32)
    pictures = [pack.pictures[number] for number in fitted.image]
    read = Faces.concatenate([network(picture, fitted.box[[k]]) for k, picture in enumerate(pictures)]).replace(image=numbers)
    start = time.process_time()
    colored = Faces.concatenate([refine_by_colors(read[[k]], [picture], model) for k, picture in enumerate(pictures)])
    seconds = (time.process_time() - start) / len(rows)
    yaw = np.degrees(np.abs(euler_from_rotation(fitted.rotation)[:, 1]))
    print(f"{len(rows)} faces of {yaw.min():.0f} to {yaw.max():.0f} degrees of yaw, {seconds:.1f} s of CPU time each, "
          f"prior of PyTorch3D: {has_pytorch3d()}")  # fmt: skip
    coded = [encode_jpeg(picture) for picture in pictures]
    for name, faces in (("sfn", read), ("colors", colored), ("landmarks", fitted.replace(image=numbers))):
        write_pack(args.out, name, coded, faces)
        moved = np.linalg.norm(model.landmarks(faces, "ibug68")[..., :2] - model.landmarks(read, "ibug68")[..., :2], axis=2).mean(1)
        size = np.sqrt((read.box[:, 2:] - read.box[:, :2]).prod(1))
        print(f"{name}: landmarks {100 * float((moved / size).mean()):.2f} % of the box away from SFN's")


if __name__ == "__main__":
    main()
