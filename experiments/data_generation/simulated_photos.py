"""Make a data folder of rendered heads that stand for photos, for a trial of the whole recipe without a photo.

    python -m experiments.data_generation.simulated_photos --out runs/quick/data --count 160

The script writes faces/photos.tar and faces/photos.npz with the landmarks and blendshapes that MediaPipe would give for these heads,
mediapipe_blendshapes.txt and backgrounds.tar. The landmarks are exact and the blendshapes are the true weights, so what is
trained on them says nothing about real faces.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from experiments.common import make_parser
from mfn.structures.camera import FRONTAL
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.training.packs.reader import read_pack
from mfn.training.packs.rendered_heads import RenderedHeads, drawn_backgrounds
from mfn.training.packs.writer import write_pictures
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write
from retarget.io.images import encode_jpeg

NAME = "photos"
STEP_PX = 0.1  # of the stored landmarks
NAMES = ("_neutral", *EXPRESSION_NAMES)


def landmark_arrays(faces: Faces, model: HeadModel) -> dict[str, np.ndarray]:
    """Return the arrays of a pack with the landmarks of MediaPipe for faces (F) of F pictures."""
    count = len(faces)
    transform = np.tile(np.eye(4, dtype=np.float32), (count, 1, 1))
    transform[:, :3, :3] = FRONTAL.T @ faces.rotation
    scores = np.concatenate([np.zeros((count, 1), np.float32), faces.expression], 1)
    return {
        "picture_name": np.array([f"person_{number:04d}" for number in faces.track]),
        "face_picture": np.arange(count, dtype=np.int32),
        "face_landmarks": np.rint(model.landmarks(faces, "mediapipe478") / STEP_PX).astype(np.int16),
        "landmark_scale": np.array(STEP_PX, np.float32),
        "face_blendshapes": np.rint(scores * 255).astype(np.uint8),
        "face_transform": transform,
        "box_picture": np.arange(count, dtype=np.int32),
        "box": faces.box,
        "box_scale": np.array(1, np.float32),
        "box_score": np.ones(count, np.float32),
    }


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="data folder to make")
    parser.add_argument("--count", type=int, default=160, help="number of pictures")
    parser.add_argument("--size", type=int, default=176, help="side of a picture in px")
    args = parser.parse_args()
    heads, rendered = RenderedHeads(args.count, size_px=args.size, folder=args.out / "rendered"), args.out / "rendered"
    heads.make()
    pack = read_pack(rendered, rendered / "labels", heads.name)
    with np.load(rendered / "labels" / f"{heads.name}.npz") as labels:
        faces = pack.faces.replace(track=labels["track"])
    folder = args.out / "faces"
    folder.mkdir(parents=True, exist_ok=True)
    write_pictures(folder / f"{NAME}.tar", [encode_jpeg(picture) for picture in pack.pictures])
    arrays = landmark_arrays(faces, HeadModel.load())
    atomic_write(folder / f"{NAME}.npz", lambda path: np.savez_compressed(path, **arrays))
    (args.out / "mediapipe_blendshapes.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    write_pictures(args.out / "backgrounds.tar", [encode_jpeg(picture) for picture in drawn_backgrounds(args.out / "rendered")])
    shutil.rmtree(rendered)
    print(f"{len(faces)} pictures in {args.out}")


if __name__ == "__main__":
    main()
