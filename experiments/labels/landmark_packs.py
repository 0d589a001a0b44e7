"""Read the packs with the landmarks that MediaPipe predicted for their faces: the input of the label fitter."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mfn.fitting.blendshape_calibration import scores_to_expression
from mfn.structures.camera import FRONTAL

Arrays = dict[str, NDArray[Any]]

# packs whose picture names begin with the person's name, and the separator after it
NAME_SEPARATORS = {"lfw": "/", "youtube": "_", "expressions": "_"}


class LandmarkPack(NamedTuple):
    """Hold the F faces of a pack.

    source: its name; arrays: everything in SOURCE.npz; points: (F, 478, 3) MediaPipe's landmarks in picture px, z on the
    x scale; expression: (F, 51) MediaPipe's blendshapes, calibrated, in [0, 1].
    """

    source: str
    arrays: Arrays
    points: torch.Tensor
    expression: torch.Tensor

    def __len__(self) -> int:
        return len(self.points)

    def rotation(self) -> torch.Tensor:
        """Return MediaPipe's head rotations (F, 3, 3), head to camera."""
        return pose_to_rotation(self.arrays["face_transform"])

    def people(self) -> torch.Tensor:
        """Return the number of each face's person (F,), -1 if unknown.

        The name of a picture is that of its largest face. The other faces of the picture are unknown.
        """
        if self.source not in NAME_SEPARATORS:
            return torch.full((len(self.points),), -1)
        names = np.array([str(name).rpartition(NAME_SEPARATORS[self.source])[0] for name in self.arrays["picture_name"]])
        _, number = np.unique(names, return_inverse=True)
        picture = self.arrays["face_picture"]
        person = number[picture]
        area = (self.points[..., :2].amax(1) - self.points[..., :2].amin(1)).prod(1).numpy()
        order = np.lexsort((-area, picture))
        largest = np.ones(len(order), bool)
        largest[1:] = picture[order][1:] != picture[order][:-1]
        person[order[~largest]] = -1
        return torch.from_numpy(person)


def pose_to_rotation(transform: NDArray[Any]) -> torch.Tensor:
    """Convert MediaPipe's metric poses (F, 4, 4) to rotations (F, 3, 3), head to camera in our axes."""
    u, _, vt = np.linalg.svd(transform[:, :3, :3].astype(np.float64))
    return torch.from_numpy((FRONTAL @ u @ vt).astype(np.float32))


def read_landmark_pack(data: Path, source: str) -> LandmarkPack:
    """Read one pack.

    Args:
        data: Folder with faces/SOURCE.npz and mediapipe_blendshapes.txt.
        source: Name of the pack.

    Raises:
        FileNotFoundError: There is no such pack.
        ValueError: It holds no landmarks.
    """
    path = data / "faces" / f"{source}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"expected a pack at {path}: give --data the folder that holds faces/SOURCE.npz")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if "face_landmarks" not in arrays:
        raise ValueError(f"{path}: expected MediaPipe's landmarks of faces, got boxes or pictures only; label photos with `mfn annotate`")
    names = (data / "mediapipe_blendshapes.txt").read_text().split()
    points = arrays["face_landmarks"].astype(np.float32) * arrays["landmark_scale"]
    expression = scores_to_expression(arrays["face_blendshapes"].astype(np.float32) / 255, names)
    return LandmarkPack(source, arrays, torch.from_numpy(points), torch.from_numpy(expression))


def sources_with_faces(data: Path) -> list[str]:
    """Return the names of all packs that hold landmarks of faces."""
    sources = [path.stem for path in sorted((data / "faces").glob("*.npz")) if "landmarks68" not in path.stem]
    return [source for source in sources if _has_landmarks(data / "faces" / f"{source}.npz")]


def _has_landmarks(path: Path) -> bool:
    """Tell whether a pack holds landmarks of at least one face; a pack of boxes only, or of pictures only, holds none."""
    with np.load(path, allow_pickle=False) as file:
        return "face_landmarks" in file.files and len(file["face_landmarks"]) > 0
