"""Writing of packs that `mfn.training.packs.reader` reads: generated pictures with one face each, whose labels are exact."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.training.packs.reader import LABEL_FIELDS
from retarget.io.files import atomic_write


def write_pack(out: Path, name: str, encoded: Sequence[bytes], faces: Faces) -> None:
    """Write OUT/NAME.tar, OUT/NAME.npz and OUT/labels/NAME.npz, each completely or not at all.

    Args:
        out: Folder; it is made if it is missing.
        name: Name of the pack.
        encoded: P picture files.
        faces: P faces, row k of picture k.

    Raises:
        ValueError: Not one face for each picture.
    """
    if len(encoded) != len(faces):
        raise ValueError(f"expected one face for each of {len(encoded)} pictures, got {len(faces)}")
    (out / "labels").mkdir(parents=True, exist_ok=True)
    write_pictures(out / f"{name}.tar", encoded)
    rows = np.arange(len(faces), dtype=np.int32)
    no_boxes: dict[str, NDArray[Any]] = {
        "box": np.zeros((0, 4), np.int16),
        "box_scale": np.array(1, np.float32),
        "box_picture": rows[:0],
        "box_score": np.zeros(0, np.float32),
    }
    _write_npz(out / f"{name}.npz", {"face_picture": rows, **no_boxes})
    labels = {field: getattr(faces, field) for field in LABEL_FIELDS}
    _write_npz(out / "labels" / f"{name}.npz", {"face": rows, "ok": np.ones(len(rows), bool), "track": faces.track, **labels})


def write_pictures(path: Path, encoded: Sequence[bytes]) -> None:
    """Write picture files into a tar file, whole or not at all, in the order of their numbers."""
    atomic_write(path, lambda temporary: _write_tar(temporary, encoded))


def write_contact_sheet(
    path: Path, encoded: Sequence[bytes], landmarks: Sequence[NDArray[np.floating]], columns: int = 12, side: int = 160
) -> None:
    """Write one picture of many pictures for inspection. Landmarks are drawn into every second one.

    Args:
        path: Picture file to write.
        encoded: Picture files. Those that do not fill a row are left out; fewer than a row make a shorter one.
        landmarks: (L, 2 or 3) px for each picture.
        columns: Pictures in a row.
        side: Side of each in px.
    """
    import cv2

    tiles = []
    for number, (data, points) in enumerate(zip(encoded, landmarks)):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if number % 2:
            for x, y in points[:, :2]:
                cv2.circle(picture, (int(x), int(y)), 1, (0, 255, 0), -1)
        tiles.append(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA))
    columns = min(columns, len(tiles))
    full = len(tiles) // columns * columns
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, full, columns)]
    cv2.imwrite(str(path), np.concatenate(rows))


def _write_tar(path: Path, encoded: Sequence[bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for number, data in enumerate(encoded):
            info = tarfile.TarInfo(f"{number:06d}.jpg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def _write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    atomic_write(path, lambda temporary: np.savez_compressed(temporary, **arrays))  # type: ignore[arg-type]
