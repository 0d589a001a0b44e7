"""Writes packs that `mfn.training.data.packs` reads and `mfn fit` draws from: made pictures with one exactly known face each."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mfn.structures.faces import Faces
from retarget.io.files import atomic_write
from retarget.io.images import write_image

FIELDS = ("rotation", "scale", "center", "identity", "expression", "box")


def write_pack(out: Path, name: str, coded: Sequence[bytes], faces: Faces) -> None:
    """Writes OUT/NAME.tar, OUT/NAME.npz and OUT/labels/NAME.npz, each whole or not at all.

    coded: P picture files; faces: P rows, row k of picture k
    """
    if len(coded) != len(faces):
        raise ValueError(f"expected one face for each of {len(coded)} pictures, got {len(faces)}")
    (out / "labels").mkdir(parents=True, exist_ok=True)
    atomic_write(out / f"{name}.tar", lambda temporary: _write_tar(temporary, coded))
    rows = np.arange(len(faces), dtype=np.int32)
    none = np.zeros(0, np.float32)
    boxes: dict[str, np.ndarray] = {
        "box": np.zeros((0, 4), np.int16),
        "box_scale": np.array(1, np.float32),
        "box_picture": rows[:0],
        "box_score": none,
    }
    _save(out / f"{name}.npz", {"face_picture": rows, **boxes})
    labels = {field: getattr(faces, field) for field in FIELDS}
    _save(
        out / "labels" / f"{name}.npz", {"face": rows, "ok": np.ones(len(rows), bool), "track": faces.track, **labels}
    )


def write_sheet(
    path: Path, coded: Sequence[bytes], points: Sequence[np.ndarray], columns: int = 12, side: int = 160
) -> None:
    """A picture of pictures, every second with its points (L, 2 or 3) px, to look at."""
    import cv2

    tiles = []
    for number, (data, where) in enumerate(zip(coded, points)):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if number % 2:
            for x, y in where[:, :2]:
                cv2.circle(picture, (int(x), int(y)), 1, (0, 255, 0), -1)
        tiles.append(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA))
    whole = len(tiles) // columns * columns
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, whole, columns)]
    write_image(path, np.concatenate(rows)[..., ::-1])


def _write_tar(path: Path, coded: Sequence[bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for number, data in enumerate(coded):
            info = tarfile.TarInfo(f"{number:06d}.jpg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    atomic_write(path, lambda temporary: np.savez_compressed(temporary, **arrays))  # type: ignore[arg-type]
