"""A take: who showed which expression, where and when, as one struct of arrays.

Frame: glTF's. The camera is at the origin and looks along -z; x points right, y up; lengths are in meters. The axes
of a head are glTF's for an asset: x to the subject's left, y up, z out of the face. So a face that looks straight into
the camera has the identity rotation.

Letters: S samples. A picture of N people gives S = N; a clip gives one sample for each person in each frame.
"""

from __future__ import annotations

import io
import logging
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.io.files import atomic_write, check_file

_log = logging.getLogger(__name__)
_MAX_UNPACKED_BYTES = 1 << 30
_MAX_WEIGHT = 2.0  # in silence; somewhat larger ones are exaggerated, but no percents
_PERCENTS = 10.0, 110.0  # where the largest weight of a file in percent is
_READ_ERRORS = (
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    KeyError,
    NotImplementedError,  # a compression or an encryption that Python does not support
    RuntimeError,
    OverflowError,
    struct.error,
)
_ROW_SHAPES: dict[str, tuple[int, ...]] = {
    "time_s": (),
    "actor": (),
    "coefficients": (len(ARKIT_NAMES),),
    "rotation": (4,),
    "translation": (3,),
}
_DTYPES: dict[str, type[np.generic]] = {"time_s": np.float64, "actor": np.int32}  # others: float32
_INT32 = np.iinfo(np.int32)
MAX_NUMBER = 1e7
"""Numbers of a footage, such as its width, are below this."""
_MAX_NAME_BYTES = 1024


@dataclass(frozen=True)
class Footage:
    """The picture or clip that a take was made from. None: unknown.

    Attributes:
        width: Width of its images, px.
        height: Height of its images, px.
        focal_px: Focal length of its camera, px.
        fps: Frames a second; None for a picture.
        name: Its file name without the folder.
    """

    width: int | None = None
    height: int | None = None
    focal_px: float | None = None
    fps: float | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for key in ("width", "height", "focal_px", "fps"):
            value = getattr(self, key)
            if value is not None and not (isinstance(value, (int, float)) and 0 < value < MAX_NUMBER):
                raise ValueError(f"Footage.{key}: expected a number above 0, got {value!r:.40}")

    def known(self) -> dict[str, Any]:
        """Return what is known: name -> value."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Take:
    """A performance of any number of people: S samples in any order. S = 0 is legal, and `take[mask]` selects samples.

    Attributes:
        time_s: (S,) float64, time stamps in seconds.
        actor: (S,) int32, which person the sample shows. Any integers that fit int32.
        coefficients: (S, 52) float32, ARKit weights in ARKIT_NAMES order, 0 (rest) to 1 (full).
        rotation: (S, 4) float32, unit quaternions x y z w from head axes to scene axes. They are normalized here.
        translation: (S, 3) float32, the point between the two eyes in the scene, in meters.
        footage: The picture or clip that the take was made from.

    Raises:
        ValueError: An array has another shape or type, holds numbers that are not finite or do not fit, or a quaternion is
            not of unit length.
    """

    time_s: NDArray[np.float64]
    actor: NDArray[np.int32]
    coefficients: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]
    footage: Footage = Footage()  # noqa: RUF009  # immutable

    def __post_init__(self) -> None:
        count = np.shape(self.time_s)[0] if np.ndim(self.time_s) else 0
        for name in _ROW_SHAPES:
            object.__setattr__(self, name, _checked(name, getattr(self, name), count))
        length = np.linalg.norm(self.rotation, axis=1, keepdims=True)
        if (length < 0.5).any():
            raise ValueError(f"Take.rotation: expected unit quaternions x y z w, got one of length {length.min():.3g}")
        object.__setattr__(self, "rotation", self.rotation / length)

    def __len__(self) -> int:
        return len(self.time_s)

    def __repr__(self) -> str:
        if not len(self):
            return "Take(no samples)"
        return f"Take({len(self)} samples, {len(self.actors())} actors, {self.time_s.min():g} to {self.time_s.max():g} s)"

    def __getitem__(self, index: Any) -> Take:
        """Select samples by a mask, by numbers, by one number or by a slice."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        arrays: dict[str, Any] = {name: getattr(self, name)[rows] for name in _ROW_SHAPES}
        return Take(**arrays, footage=self.footage)

    @classmethod
    def empty(cls) -> Take:
        """Return a take without samples."""
        arrays: dict[str, Any] = {name: np.zeros((0, *rest), int) for name, rest in _ROW_SHAPES.items()}
        return cls(**arrays)

    @classmethod
    def concatenate(cls, takes: Sequence[Take]) -> Take:
        """Join the samples of several takes in their order. The footage is that of the first. No takes: an empty one."""
        if not takes:
            return cls.empty()
        arrays: dict[str, Any] = {name: np.concatenate([getattr(take, name) for take in takes]) for name in _ROW_SHAPES}
        return cls(**arrays, footage=takes[0].footage)

    def actors(self) -> NDArray[np.int32]:
        """Return the different actors (A,) in ascending order."""
        return np.unique(self.actor)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the arrays and the footage to an .npz file. An existing file is replaced only when the new one is complete."""
        memory = io.BytesIO()
        arrays = {name: getattr(self, name) for name in _ROW_SHAPES} | _footage_arrays(self.footage)
        np.savez_compressed(memory, **arrays)
        atomic_write(path, memory.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Take:
        """Read an .npz file that `save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is damaged or is something else. The message is one line.
        """
        check_file(path, "an .npz file written by Take.save")
        try:
            with zipfile.ZipFile(path) as archive:
                return cls(**_read_arrays(archive), footage=_read_footage(archive))
        except _READ_ERRORS as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{path}: not a readable .npz take ({reason[:200]})") from None


def unit_weights(weights: NDArray[np.floating], source: str) -> NDArray[np.floating]:
    """Return weights from 0 to 1. Weights from 0 to 100 are divided by 100, with a warning.

    Args:
        weights: (S, 52) as a file states them.
        source: Name of the file, for the warning.

    Raises:
        ValueError: They have neither range.

    Percents reach more than 10, and are above 2 in most samples, so that one wrong number does not change the unit of a file.
    """
    strongest = weights.max(axis=1, initial=0)
    largest = strongest.max(initial=0)
    if largest <= _MAX_WEIGHT:
        return weights.clip(0, 1)
    if largest < _PERCENTS[0] or np.median(strongest[strongest > 0]) <= _MAX_WEIGHT:
        _log.warning("%s: weights up to %g (expected 0 to 1); those above 1 were read as 1", source, largest)
        return weights.clip(0, 1)
    if largest > _PERCENTS[1]:
        raise ValueError(f"weights up to {largest:g} (expected 0 to 1, or percents from 0 to 100); scale them first")
    _log.warning("%s: weights up to %g were read as percents and divided by 100", source, largest)
    return (weights / 100).clip(0, 1)


def _checked(name: str, given: ArrayLike, count: int) -> NDArray[Any]:
    """One field of a take as an array of its type, copied. Raises ValueError unless it has `count` valid rows."""
    dtype = _DTYPES.get(name, np.float32)
    shape = (count, *_ROW_SHAPES[name])
    value = np.asarray(given)
    if value.shape != shape:
        raise ValueError(f"Take.{name}: expected shape {shape}, got {value.shape}")
    if value.dtype.kind not in "iuf" or (name == "actor" and value.size and value.dtype.kind == "f"):
        raise ValueError(f"Take.{name}: expected numbers that fit {np.dtype(dtype)}, got {value.dtype}")
    if name == "actor" and value.size and not _INT32.min <= int(value.min()) <= int(value.max()) <= _INT32.max:
        raise ValueError(f"Take.actor: expected numbers that fit int32, got {int(value.min())} to {int(value.max())}")
    value = value.astype(dtype)
    if not np.isfinite(value).all():
        bad = int((~np.isfinite(value.reshape(count, -1)).all(axis=1)).sum())
        raise ValueError(f"Take.{name}: expected finite numbers, got others in {bad} of {count} samples")
    return value


def _footage_arrays(footage: Footage) -> dict[str, NDArray[Any]]:
    """What is known of the footage as arrays of numbers, which .npz files hold without pickle. A name is UTF-8 bytes."""
    return {
        f"footage_{key}": np.frombuffer(value.encode(), np.uint8) if isinstance(value, str) else np.array(value)
        for key, value in footage.known().items()
    }


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def _read_footage(archive: zipfile.ZipFile) -> Footage:
    """The footage of an .npz file; files of earlier versions have none."""
    found: dict[str, Any] = {}
    for name, member in _members(archive).items():
        key = name.removeprefix("footage_")
        if key == name or key not in Footage.__dataclass_fields__ or member.file_size > _MAX_NAME_BYTES:
            continue
        value = _read_array(archive, member)
        found[key] = value.tobytes().decode() if key == "name" else value.reshape(()).item()
    return Footage(**found)


def _read_arrays(archive: zipfile.ZipFile) -> dict[str, Any]:
    """The five arrays of an .npz file. The sizes are checked before any memory is allocated for them."""
    members = _members(archive)
    missing = [name for name in _ROW_SHAPES if name not in members]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    size = sum(members[name].file_size for name in _ROW_SHAPES)
    if size > _MAX_UNPACKED_BYTES:
        raise ValueError(f"it unpacks to {size} bytes, more than the limit of {_MAX_UNPACKED_BYTES}")
    return {name: _read_array(archive, members[name]) for name in _ROW_SHAPES}


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One .npy member. NumPy's own reader would allocate what the header claims, so the header is compared first."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{member.filename} has the unknown version {version}")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(file)
        if dtype.kind not in "iuf":
            raise ValueError(f"{member.filename} holds {dtype}, not numbers")
        data = file.read()  # never more than the size that the archive states
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{member.filename} claims the shape {shape}, but it has {len(data)} bytes of {dtype}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")
