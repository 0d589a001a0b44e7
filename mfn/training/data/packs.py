"""Packs: pictures in a tar, detections in an .npz beside it, fitted labels in another. Everything is decoded into memory once.

A pack SOURCE is `SOURCE.tar` (pictures `000000.webp` … in order) and `SOURCE.npz` (`box_picture`, `box`, `box_scale`, `box_score` of a
detector; `face_picture` of each face that the landmark teacher found). `mfn annotate`'s and `experiments/labels/fit.py`'s output is
`LABELS/SOURCE.npz`: `face`, `rotation`, `scale`, `center`, `identity`, `expression`, `box`, `ok`.
"""

from __future__ import annotations

import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mfn.structures.boxes import box_iou
from mfn.structures.camera import FRONTAL
from mfn.structures.faces import Faces
from retarget.io.images import decode_image

SAME_FACE_IOU = 0.3  # a detector's box that box_iou a fitted one this much is the same face
SURE_SCORE = 0.75  # detections below are neither face nor background


@dataclass(frozen=True)
class Pack:
    """P pictures and M faces.

    pictures: list of P (H, W, 3) uint8 RGB; faces: M rows, `image` is the picture; known: (M,) bool, whether pose, identity and expression
    are labels (else only the box is); unsure: (Q, 4) boxes and unsure_image: (Q,) of what may be a face.
    """

    name: str
    pictures: list[np.ndarray]
    faces: Faces
    known: np.ndarray
    unsure: np.ndarray
    unsure_image: np.ndarray

    def only(self, pictures: np.ndarray) -> Pack:
        """The faces of the chosen pictures (P,) bool; pictures stay where they are, so that numbers keep."""
        faces, unsure = pictures[self.faces.image], pictures[self.unsure_image]
        return Pack(
            self.name, self.pictures, self.faces[faces], self.known[faces], self.unsure[unsure], self.unsure_image[unsure]
        )


def pack_place(folder: Path, labels: Path, name: str) -> tuple[Path, Path, str]:
    """What `read_pack` takes of a source's name: a pack of the folder, or a path to one made elsewhere, its labels beside it."""
    if "/" in name:
        path = Path(name)
        return path.parent, path.parent / "labels", path.name
    return folder / "faces", labels, name


def read_pictures(path: Path, every: int = 1) -> list[np.ndarray]:
    """All pictures of a tar, in the order of their names, as (H, W, 3) uint8 RGB. every: keep one of so many (for quick trials)."""
    if not path.is_file():
        raise FileNotFoundError(f"expected a tar of pictures at {path}: give the folder that holds SOURCE.tar and SOURCE.npz")
    with tarfile.open(path) as tar:
        members = sorted((m for m in tar.getmembers() if m.isfile()), key=lambda m: m.name)[::every]
        coded = [tar.extractfile(m).read() for m in members]  # type: ignore[union-attr]

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(partial(decode_image, name=f"{path}: a member"), coded))


def read_pack(folder: Path, labels: Path | None, name: str) -> Pack:
    """One pack with its labels. folder: of SOURCE.tar/.npz; labels: of the fitted SOURCE.npz, or None for boxes alone."""
    pictures = read_pictures(folder / f"{name}.tar")
    with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
        box = data["box"].astype(np.float32) * np.float32(data["box_scale"])
        box_image = data["box_picture"].astype(np.int32)
        box_score = data["box_score"].astype(np.float32)
        face_picture = data["face_picture"].astype(np.int32) if "face_picture" in data else np.zeros(0, np.int32)
    fitted, ok = _read_labels(labels / f"{name}.npz" if labels else None, face_picture)
    taken = np.zeros(len(box), bool)
    for i in range(len(fitted)):
        rows = np.flatnonzero(box_image == fitted.image[i])
        taken[rows] |= box_iou(fitted.box[i : i + 1], box[rows])[0] > SAME_FACE_IOU
    sure = ~taken & (box_score >= SURE_SCORE)
    rest = ~taken & ~sure
    faces = Faces.concatenate([fitted, _boxes_only(box[sure], box_image[sure], fitted.identity.shape[1])])
    known = np.concatenate([ok, np.zeros(int(sure.sum()), bool)])
    return Pack(name, pictures, faces, known, box[rest], box_image[rest])


def _read_labels(path: Path | None, face_picture: np.ndarray) -> tuple[Faces, np.ndarray]:
    from mfn.structures.cells import IDENTITY_SIZE

    if path is None or not path.is_file() or len(face_picture) == 0:
        return Faces.empty(IDENTITY_SIZE), np.zeros(0, bool)
    with np.load(path, allow_pickle=False) as data:
        values = {key: data[key] for key in data.files}
    count = len(values["face"])
    faces = Faces(
        image=face_picture[values["face"]],
        score=np.ones(count, np.float32),
        track=np.full(count, -1, np.int32),
        **{key: values[key].astype(np.float32) for key in ("box", "rotation", "scale", "center", "identity", "expression")},
    )
    return faces, values["ok"].astype(bool)


def _boxes_only(box: np.ndarray, image: np.ndarray, identity_size: int) -> Faces:
    """Faces of which nothing but the box is known; the rest is a frontal, mean, neutral face of the box's size."""
    from retarget.arkit import EXPRESSION_NAMES

    count = len(box)
    return Faces(
        image=image,
        box=box,
        score=np.ones(count, np.float32),
        rotation=np.tile(FRONTAL, (count, 1, 1)),
        scale=(box[:, 3] - box[:, 1]) / 0.16,
        center=(box[:, :2] + box[:, 2:]) / 2,
        identity=np.zeros((count, identity_size), np.float32),
        expression=np.zeros((count, len(EXPRESSION_NAMES)), np.float32),
        track=np.full(count, -1, np.int32),
    )
