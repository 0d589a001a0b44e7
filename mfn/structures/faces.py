"""`Faces`: N faces as a struct of arrays. Targets, predictions, clips and files on disk are all this one type."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write

FORMAT = 1
"""Version of the .npz and JSON files that this code writes."""

_SHAPES: dict[str, tuple[int | None, ...]] = {  # without the leading N; None = any
    "image": (),
    "box": (4,),
    "score": (),
    "rotation": (3, 3),
    "scale": (),
    "center": (2,),
    "identity": (None,),
    "expression": (len(EXPRESSION_NAMES),),
    "track": (),
}
_WHOLE = ("image", "track")


@dataclass(frozen=True)
class Faces:
    """N faces, found or given. N = 0 is legal everywhere; `faces[mask]`, `faces[rows]`, `faces[i]` give `Faces` again.

    image: (N,) int32, which picture of the list, or which frame of the clip
    box: (N, 4) float32, x1 y1 x2 y2 in pixels of the original picture
    score: (N,) float32 in [0, 1]
    rotation: (N, 3, 3) float32, head to camera (x right, y down, z away); a frontal face has diag(1, -1, -1)
    scale: (N,) float32, pixels per metre
    center: (N, 2) float32, px, where the head's origin (between the eyes) projects
    identity: (N, I) float32, standard deviations of the head model's components
    expression: (N, 51) float32 in [0, 1], in the order of `EXPRESSION_NAMES`
    track: (N,) int32, which person; -1 unknown
    """

    image: NDArray[np.int32]
    box: NDArray[np.float32]
    score: NDArray[np.float32]
    rotation: NDArray[np.float32]
    scale: NDArray[np.float32]
    center: NDArray[np.float32]
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    track: NDArray[np.int32]

    def __post_init__(self) -> None:
        count = np.shape(self.box)[0] if np.ndim(self.box) else 0
        for name, rest in _SHAPES.items():
            value = np.asarray(getattr(self, name))
            expected = (count, *rest)
            if value.ndim != len(expected) or any(e not in (None, g) for e, g in zip(expected, value.shape)):
                wanted = "(" + ", ".join("I" if e is None else str(e) for e in expected) + ")"
                raise ValueError(f"Faces.{name}: expected shape {wanted} (N = {count} rows of box), got {value.shape}")
            if value.dtype.kind not in "iufb":
                raise ValueError(f"Faces.{name}: expected numbers, got dtype {value.dtype}")
            kind = np.int32 if name in _WHOLE else np.float32
            object.__setattr__(self, name, np.ascontiguousarray(value, dtype=kind))

    def __len__(self) -> int:
        return len(self.box)

    def __getitem__(self, rows: int | slice | Sequence[int] | NDArray) -> Faces:
        """Rows by mask, indices, slice or one number; always `Faces`."""
        if isinstance(rows, (int, np.integer)):
            if not -len(self) <= rows < len(self):  # what ends a `for` loop
                raise IndexError(f"row {rows} of {len(self)} faces")
            rows = [int(rows)]
        elif not isinstance(rows, slice):
            rows = np.asarray(rows)
            rows = rows if rows.size else rows.astype(np.int64).reshape(0)
        return Faces(**{name: getattr(self, name)[rows] for name in _SHAPES})

    def __iter__(self) -> Iterator[Faces]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Faces(N={len(self)}, images={len(np.unique(self.image))}, identity_size={self.identity.shape[1]})"

    @classmethod
    def empty(cls, identity_size: int = 0) -> Faces:
        """No faces."""
        sizes = {name: [identity_size if size is None else size for size in rest] for name, rest in _SHAPES.items()}
        return cls(**{name: np.zeros((0, *rest), np.float32) for name, rest in sizes.items()})  # type: ignore[arg-type]

    @classmethod
    def concatenate(cls, parts: Sequence[Faces]) -> Faces:
        """All rows of `parts`, in order. Parts without rows do not have to agree on the identity's size."""
        full = [part for part in parts if len(part)]
        if not full:
            return parts[0] if parts else cls.empty()
        sizes = {part.identity.shape[1] for part in full}
        if len(sizes) > 1:
            raise ValueError(f"faces of different head models cannot be joined: identity sizes {sorted(sizes)}")
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in full]) for f in fields(cls)})

    def replace(self, **changes: NDArray) -> Faces:
        """A copy with some arrays replaced, checked again."""
        unknown = sorted(set(changes) - set(_SHAPES))
        if unknown:
            raise ValueError(f"Faces has no {', '.join(unknown)}; it has {', '.join(_SHAPES)}")
        return Faces(**{**{name: getattr(self, name) for name in _SHAPES}, **changes})

    def save(self, path: str | Path) -> None:
        """Writes a .npz of the nine arrays (no pickle), whole or not at all."""
        memory = io.BytesIO()
        np.savez_compressed(memory, format=np.int32(FORMAT), **{name: getattr(self, name) for name in _SHAPES})
        atomic_write(path, memory.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> Faces:
        """Reads what `save` wrote. ValueError in one line if it is something else."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        try:
            with np.load(path, allow_pickle=False) as data:
                arrays = {name: data[name] for name in _SHAPES if name in data}
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, TypeError, ValueError, AttributeError, RuntimeError):
            raise ValueError(f"{path}: not a readable .npz file of faces") from None
        missing = [name for name in _SHAPES if name not in arrays]
        if missing:
            raise ValueError(f"{path}: not a file of faces: {', '.join(missing)} missing")
        return cls(**arrays)

    def to_json(self) -> str:
        """The same as JSON text: {"format", "identity_size", "faces": [{"box": […], "expression": {name: w}, …}]}."""
        rows = []
        for i in range(len(self)):
            row = {name: _rounded(getattr(self, name)[i]) for name in _SHAPES if name != "expression"}
            row["expression"] = dict(zip(EXPRESSION_NAMES, _rounded(self.expression[i]), strict=True))
            rows.append(row)
        head = {"format": FORMAT, "identity_size": self.identity.shape[1]}
        return json.dumps({**head, "faces": rows}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Faces:
        """What `to_json` wrote, back again (numbers to 7 digits)."""
        try:
            data = json.loads(text)
            rows = data["faces"]
            if not rows:
                return cls.empty(int(data["identity_size"]))
            arrays = {name: np.array([row[name] for row in rows]) for name in _SHAPES if name != "expression"}
            expression = np.array([[row["expression"][name] for name in EXPRESSION_NAMES] for row in rows])
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"not faces as JSON: {type(error).__name__} {error}") from None
        return cls(**arrays, expression=expression)


def _rounded(value: NDArray | np.generic) -> Any:
    """Numbers as Python's, to 7 significant digits: what a float32 holds, without its tail."""
    if np.ndim(value):
        return [_rounded(v) for v in np.asarray(value)]
    return int(value) if np.issubdtype(np.asarray(value).dtype, np.integer) else float(f"{float(value):.7g}")
