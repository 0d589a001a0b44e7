"""A performance: who showed which expression where and when, as one struct of arrays.

Frame: glTF's, seen by a camera at the origin that looks along -z: x right, y up, metres. A head's own axes are glTF's
for an asset: x to the subject's left, y up, z out of the face; so a face that looks straight into the camera has the
identity rotation. Letters: S samples (a picture of N people: S = N; a clip: one sample for each person in each
frame).
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.io.files import atomic_write, check_file

_LARGEST_FILE = 1 << 30
_DAMAGE = (
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    KeyError,
    NotImplementedError,  # a compression or an encryption that Python does not know
    RuntimeError,
    OverflowError,
    struct.error,
)
_SHAPES: dict[str, tuple[int, ...]] = {
    "time_s": (),
    "actor": (),
    "coefficients": (len(ARKIT_NAMES),),
    "rotation": (4,),
    "translation": (3,),
}


@dataclass(frozen=True)
class Take:
    """S samples; S = 0 is legal, `take[mask]` works, order does not matter.

    time_s: (S,) float64 seconds, the true time stamps. actor: (S,) int32, which person; any numbers. coefficients:
    (S, 52) float32 in ARKIT_NAMES order, 0 rest .. 1 full. rotation: (S, 4) float32 unit quaternion x y z w, head to
    scene. translation: (S, 3) float32 metres, where the middle between the eyes is.
    """

    time_s: NDArray[np.float64]
    actor: NDArray[np.int32]
    coefficients: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = np.shape(self.time_s)[0] if np.ndim(self.time_s) else 0
        for name, rest in _SHAPES.items():
            kind = {"time_s": np.float64, "actor": np.int32}.get(name, np.float32)
            value = np.asarray(getattr(self, name))
            if value.shape != (count, *rest):
                raise ValueError(f"Take.{name}: expected shape {(count, *rest)}, got {value.shape}")
            if value.dtype.kind not in "iuf" or (name == "actor" and value.size and value.dtype.kind == "f"):
                raise ValueError(f"Take.{name}: expected numbers that fit {np.dtype(kind)}, got {value.dtype}")
            value = value.astype(kind)
            if not np.isfinite(value).all():
                raise ValueError(
                    f"Take.{name}: expected finite numbers, got others in {_bad_rows(value)} of {count} samples"
                )
            object.__setattr__(self, name, value)
        length = np.linalg.norm(self.rotation, axis=1, keepdims=True)
        if (length < 0.5).any():
            raise ValueError(f"Take.rotation: expected unit quaternions x y z w, got one of length {length.min():.3g}")
        object.__setattr__(self, "rotation", self.rotation / length)

    def __len__(self) -> int:
        return len(self.time_s)

    def __getitem__(self, index: Any) -> Take:
        """Rows chosen by a mask, numbers or a slice."""
        rows = np.arange(len(self))[index]
        return Take(**{field.name: getattr(self, field.name)[np.atleast_1d(rows)] for field in fields(self)})

    @classmethod
    def empty(cls) -> Take:
        """A take in which nobody appears."""
        return cls(**{name: np.zeros((0, *rest), int) for name, rest in _SHAPES.items()})  # type: ignore[arg-type]

    @classmethod
    def concatenate(cls, takes: Sequence[Take]) -> Take:
        """All samples of several takes, in their order; none give the empty take."""
        if not takes:
            return cls.empty()
        return cls(**{name: np.concatenate([getattr(take, name) for take in takes]) for name in _SHAPES})

    def actors(self) -> NDArray[np.int32]:
        """(A,) the different actors in ascending order."""
        return np.unique(self.actor)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an .npz of the five arrays; an existing file is replaced only once the new one is whole."""
        memory = io.BytesIO()
        np.savez_compressed(memory, **{name: getattr(self, name) for name in _SHAPES})
        atomic_write(path, memory.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Take:
        """Read what `save` wrote. ValueError with one line if the file is something else."""
        check_file(path, "an .npz file written by Take.save")
        try:
            arrays = _read_arrays(Path(path))
            take = cls(**arrays)
        except _DAMAGE as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{path}: not a readable .npz take ({said[:200]})") from None
        return take


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The five arrays. What each claims to be is compared with what is there before anything of that size is made."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        missing = [name for name in _SHAPES if name not in members]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        size = sum(members[name].file_size for name in _SHAPES)
        if size > _LARGEST_FILE:
            raise ValueError(f"it unpacks to {size} bytes, more than the {_LARGEST_FILE} that are read")
        return {name: _read_array(archive, members[name]) for name in _SHAPES}


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{member.filename} has the unknown version {version}")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_column, kind = read_header(file)
        if kind.kind not in "iuf":
            raise ValueError(f"{member.filename} holds {kind}, not numbers")
        data = file.read()  # no more than the archive says it is
    if len(data) != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{member.filename} claims the shape {shape}, it has {len(data)} bytes of {kind}")
    return np.frombuffer(data, kind).reshape(shape, order="F" if by_column else "C")


def _bad_rows(value: NDArray[Any]) -> int:
    return int((~np.isfinite(value.reshape(len(value), -1)).all(axis=1)).sum())
