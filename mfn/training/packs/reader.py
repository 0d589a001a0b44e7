"""Packs: pictures in a tar file, detections in an .npz file beside it, and fitted labels in another. All is decoded into memory once.

A pack SOURCE consists of
    SOURCE.tar          the pictures, `000000.webp` and so on, in the order of their names;
    SOURCE.npz          `box_picture`, `box`, `box_scale` and `box_score` of a face detector, and `face_picture`, the
                        picture of each face with landmarks of MediaPipe; `box_scale` and `box_score` are missing in a
                        pack of hand-drawn boxes;
    LABELS/SOURCE.npz   `face`, `rotation`, `scale`, `center`, `identity`, `expression`, `box` and `ok`, as `mfn annotate` and
                        `experiments/labels/fit.py` write them; of rendered heads and of `mfn annotate --people folder` also
                        `track`, the number of the person, by which people are held out.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.boxes import box_iou
from mfn.structures.camera import FRONTAL
from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

SAME_FACE_IOU = 0.3  # a detected box that overlaps a fitted one this much is the same face
MIN_SCORE = 0.75  # a detection with a lower score becomes an ignore region
HELD_OUT_EVERY = 50  # one picture in 50 is for validation; more of a pack of less than 500 pictures
MIN_HELD_OUT = 10  # pictures of such a pack, if it has so many
FACE_HEIGHT_M = 0.16  # height of the box of a mean face
HELD_OUT_PEOPLE_EVERY = 5  # of few people one in five is for validation: each has many pictures
DECODING_THREADS = 2
LABEL_FIELDS = ("rotation", "scale", "center", "identity", "expression", "box")  # of faces, in the files of labels


@dataclass(frozen=True)
class Pack:
    """P pictures with M faces.

    Attributes:
        name: Name of the pack.
        pictures: P pictures (H, W, 3) uint8 RGB.
        faces: M faces; `image` is the index of the picture.
        has_labels: (M,) bool, True if pose, identity and expression are labels; else only the box is.
        ignore_box: (Q, 4) x1 y1 x2 y2 px, regions that may be faces.
        ignore_image: (Q,) index of the picture of each region.
        hand_drawn: Whether people drew the boxes. No face has labels then.
    """

    name: str
    pictures: list[Image]
    faces: Faces
    has_labels: NDArray[np.bool_]
    ignore_box: NDArray[np.float32]
    ignore_image: NDArray[np.int32]
    hand_drawn: bool = False

    def select(self, pictures: NDArray[np.bool_]) -> Pack:
        """Keep the faces of some pictures.

        Args:
            pictures: (P,) True for the pictures to keep.

        Returns:
            A pack with all pictures, so that their indices stay the same, but with the faces and ignore regions of the chosen ones only.
        """
        faces, ignored = pictures[self.faces.image], pictures[self.ignore_image]
        kept = self.faces[faces], self.has_labels[faces], self.ignore_box[ignored], self.ignore_image[ignored]
        return Pack(self.name, self.pictures, *kept, self.hand_drawn)

    def held_out(self) -> NDArray[np.bool_]:
        """Return (P,) True for the pictures that are for validation.

        Where `track` numbers the people, as in packs of rendered heads, these are all pictures of some people; pictures of unknown people
        count as people of their own. In other packs they are single pictures. Where none of them or all of them would hold faces, they
        are chosen among the pictures with faces. A single picture with faces is for training.
        """
        held, known = held_out(len(self.pictures)), self.faces.track >= 0
        people = np.unique(self.faces.track[known])
        if len(people) > 1:
            held &= np.isin(np.arange(len(held)), self.faces.image[~known])
            held[self.faces.image[known]] = False
            chosen = people[1:][held_out(len(people) - 1, HELD_OUT_PEOPLE_EVERY)]
            held[self.faces.image[np.isin(self.faces.track, chosen)]] = True
            return held
        shown = np.unique(self.faces.image)
        if len(shown) and held[shown].all() | (~held[shown]).all():
            held[:] = False
            held[shown[1:][held_out(len(shown) - 1)]] = True
        return held


class PackLocation(NamedTuple):
    """Where a pack lies: the arguments of `read_pack`.

    Attributes:
        folder: Folder of SOURCE.tar and SOURCE.npz.
        labels: Folder of the fitted SOURCE.npz.
        name: SOURCE.
    """

    folder: Path
    labels: Path
    name: str


def locate_pack(folder: Path, labels: Path, name: str) -> PackLocation:
    """Find a source of the configuration.

    Args:
        folder: Data folder, with the packs in `faces`.
        labels: Folder of the labels of these packs.
        name: Name of one of them, or, with a "/", the path of a pack elsewhere without its suffix, with a folder `labels` beside it.
    """
    if "/" in name:
        path = Path(name)
        return PackLocation(path.parent, path.parent / "labels", path.name)
    return PackLocation(folder / "faces", labels, name)


def held_out(count: int, smallest_step: int = 2) -> NDArray[np.bool_]:
    """Return (count,) True for the pictures or people that are for validation: one in HELD_OUT_EVERY, or MIN_HELD_OUT of fewer than 500.

    Args:
        count: Number of pictures or people.
        smallest_step: At most one in so many is for validation.
    """
    every = int(np.clip(count // MIN_HELD_OUT, smallest_step, HELD_OUT_EVERY))
    return np.asarray(np.arange(count) % every == 0)


def read_pictures(path: Path, every: int = 1) -> list[Image]:
    """Read the pictures of a tar file, in the order of their names.

    Args:
        path: The tar file.
        every: Read every n-th picture.

    Returns:
        Pictures (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is damaged, or a member is not a picture.
    """
    import cv2

    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a tar file of pictures; give the folder that holds SOURCE.tar and SOURCE.npz")
    try:
        with tarfile.open(path) as tar:
            members = sorted((m for m in tar.getmembers() if m.isfile()), key=lambda m: m.name)[::every]
            encoded = [(m.name, tar.extractfile(m).read()) for m in members]  # type: ignore[union-attr]  # a file has content
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: not a .tar file that can be read (damaged or cut off? {error})") from None

    def decode(member: tuple[str, bytes]) -> Image:
        name, data = member
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(f"{path}: expected pictures that OpenCV reads, got the member {name}; remove it or convert it to JPEG")
        return np.ascontiguousarray(picture[..., ::-1])

    with ThreadPoolExecutor(DECODING_THREADS) as pool:
        return list(pool.map(decode, encoded))


def read_pack(folder: Path, labels: Path | None, name: str) -> Pack:
    """Read a pack with its labels.

    Args:
        folder: Folder of SOURCE.tar and SOURCE.npz.
        labels: Folder of the fitted SOURCE.npz; None to use boxes only.
        name: SOURCE.

    Raises:
        FileNotFoundError: A file of the pack is missing.
        ValueError: A file is damaged, or the files are not of one pack.
    """
    pictures = read_pictures(folder / f"{name}.tar")
    data = _read_arrays(folder / f"{name}.npz", ("box", "box_picture"), ("box_scale", "box_score", "face_picture"))
    box = data["box"].astype(np.float32) * np.float32(data.get("box_scale", 1))
    box_image = data["box_picture"].astype(np.int32)
    box_score = data["box_score"].astype(np.float32) if "box_score" in data else np.ones(len(box), np.float32)
    face_picture = data["face_picture"].astype(np.int32) if "face_picture" in data else np.zeros(0, np.int32)
    hand_drawn = "box_score" not in data and not len(face_picture)
    last = int(max(box_image.max(initial=-1), face_picture.max(initial=-1)))
    if last >= len(pictures):
        raise ValueError(f"{folder / name}.tar: expected at least {last + 1} pictures, as {name}.npz says, got {len(pictures)}")
    if labels is not None and len(face_picture) and not (labels / f"{name}.npz").is_file():
        raise FileNotFoundError(f"{labels / name}.npz: expected labels of the pack {name}; make them with experiments.labels.fit")
    fitted, ok = _read_labels(labels / f"{name}.npz" if labels else None, face_picture)
    matched = np.zeros(len(box), bool)
    for i in range(len(fitted)):
        rows = np.flatnonzero(box_image == fitted.image[i])
        matched[rows] |= box_iou(fitted.box[i : i + 1], box[rows])[0] > SAME_FACE_IOU
    certain = ~matched & (box_score >= MIN_SCORE)
    ignored = ~matched & ~certain
    faces = Faces.concatenate([fitted, _boxes_only(box[certain], box_image[certain], fitted.identity.shape[1])])
    has_labels = np.concatenate([ok, np.zeros(int(certain.sum()), bool)])
    return Pack(name, pictures, faces, has_labels, box[ignored], box_image[ignored], hand_drawn)


def _read_arrays(path: Path, needed: Sequence[str], others: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Read the arrays `needed` of an .npz file, and those of `others` that it has.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is damaged, or an array is missing.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays: dict[str, NDArray[Any]] = {name: data[name] for name in (*needed, *others) if name in data}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not an .npz file that can be read (damaged or cut off? {type(error).__name__})") from None
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise ValueError(f"{path}: expected the arrays {', '.join(needed)}, got a file without {', '.join(missing)}")
    return arrays


def _read_labels(path: Path | None, face_picture: NDArray[np.int32]) -> tuple[Faces, NDArray[np.bool_]]:
    """Read fitted faces, and which of them are good labels. Without a file there are none.

    Args:
        path: The fitted SOURCE.npz.
        face_picture: (F,) the picture of each face of the pack.

    Raises:
        ValueError: The file is damaged, or holds labels of another pack or head model.
    """
    if path is None or not path.is_file() or len(face_picture) == 0:
        return Faces.empty(IDENTITY_SIZE), np.zeros(0, bool)
    values = _read_arrays(path, ("face", "ok", *LABEL_FIELDS), ("track",))
    count, known = len(values["face"]), len(face_picture)
    if count and not 0 <= values["face"].min() <= values["face"].max() < known:
        raise ValueError(f"{path}: expected labels of the {known} faces of this pack, got a face {values['face'].max()}; make them again")
    fields: dict[str, Any] = {name: values[name].astype(np.float32) for name in LABEL_FIELDS}
    try:
        faces = Faces(
            image=face_picture[values["face"]],
            score=np.ones(count, np.float32),
            track=values["track"].astype(np.int32) if "track" in values else np.full(count, -1, np.int32),
            **fields,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}; make the labels again") from None
    if faces.identity.shape[1] != IDENTITY_SIZE or len(values["ok"]) != count:
        found = f"{faces.identity.shape[1]} and {len(values['ok'])}"
        raise ValueError(f"{path}: expected {IDENTITY_SIZE} numbers of identity and {count} of `ok`, got {found}; make the labels again")
    return faces, values["ok"].astype(bool)


def _boxes_only(box: NDArray[np.float32], image: NDArray[np.int32], identity_size: int) -> Faces:
    """Make faces of which only the box is known; the rest is a frontal, mean, neutral face of the same size."""
    count = len(box)
    return Faces(
        image=image,
        box=box,
        score=np.ones(count, np.float32),
        rotation=np.tile(FRONTAL, (count, 1, 1)),
        scale=(box[:, 3] - box[:, 1]) / FACE_HEIGHT_M,
        center=np.asarray((box[:, :2] + box[:, 2:]) / 2, np.float32),
        identity=np.zeros((count, identity_size), np.float32),
        expression=np.zeros((count, len(EXPRESSION_NAMES)), np.float32),
        track=np.full(count, -1, np.int32),
    )
