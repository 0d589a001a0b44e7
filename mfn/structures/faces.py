"""`Faces`: N faces as a struct of arrays. Targets, predictions, clips and files on disk are all of this one type."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import pitch_yaw_roll_deg
from mfn.structures.faces_files import PictureInfo, faces_to_dict, read_npz, write_npz
from mfn.structures.head_model import default_head_model
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.suggest import did_you_mean
from retarget.performance.json_reader import parse_faces_document

if TYPE_CHECKING:
    import pandas
    import supervision

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
    "refined": (),
}
FIELD_NAMES: tuple[str, ...] = tuple(_SHAPES)
_OTHER_DTYPES: dict[str, type[np.generic]] = {"image": np.int32, "track": np.int32, "refined": np.bool_}
_DTYPES: dict[str, type[np.generic]] = {name: _OTHER_DTYPES.get(name, np.float32) for name in FIELD_NAMES}


@dataclass(frozen=True, eq=False, repr=False)
class Faces:
    """N faces as arrays with N rows. N = 0 is allowed everywhere.

        sure = faces[faces.score > 0.8]       # a mask, indices, a slice or one number: always Faces
        for face in faces: ...                # Faces of one row each

    The arrays are copied and read-only. Use `replace` to change some of them.

    Attributes:
        image: (N,) int32, index of the picture in the list, or of the frame in the clip.
        box: (N, 4) float32, x1 y1 x2 y2 in px of the original picture.
        score: (N,) float32 in [0, 1], probability of a face.
        rotation: (N, 3, 3) float32, head to camera (x right, y down, z away). A frontal face has diag(1, -1, -1).
        scale: (N,) float32, px per meter.
        center: (N, 2) float32, projection of the head's origin (between the eyes), x y in px.
        identity: (N, I) float32, coefficients of the head model in standard deviations.
        expression: (N, 51) float32 in [0, 1], ARKit weights in the order of `EXPRESSION_NAMES`.
        track: (N,) int32, number of the person; -1 if unknown.
        refined: (N,) bool, whether a second network read the face in a crop of its own, which is more exact; in a crowd of a video this may
            have been one of the last frames (`mfn.FrameMemory`). Default: False.
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
    refined: NDArray[np.bool_] = None  # type: ignore[assignment]  # an array after __post_init__

    def __post_init__(self) -> None:
        count = np.shape(self.box)[0] if np.ndim(self.box) else 0
        if self.refined is None:
            object.__setattr__(self, "refined", np.zeros(count, np.bool_))
        for name, rest in _SHAPES.items():
            value = np.asarray(getattr(self, name))
            expected = (count, *rest)
            if value.ndim != len(expected) or any(e not in (None, g) for e, g in zip(expected, value.shape)):
                wanted = "(" + ", ".join("I" if e is None else str(e) for e in expected) + ")"
                raise ValueError(f"Faces.{name}: expected shape {wanted} (N = {count} rows of box), got {value.shape}")
            if value.dtype.kind not in "iufb":
                raise ValueError(f"Faces.{name}: expected numbers, got dtype {value.dtype}")
            object.__setattr__(self, name, _frozen(value, _DTYPES[name]))

    @classmethod
    def _from_valid(cls, arrays: Mapping[str, NDArray[Any]]) -> Faces:
        """Make faces of arrays that are known to be valid and that nobody else writes into."""
        faces = object.__new__(cls)
        for name, array in arrays.items():
            array.setflags(write=False)
            object.__setattr__(faces, name, array)
        return faces

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, name) for name in FIELD_NAMES}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickle or a deep copy, with arrays that are read-only again."""
        for name, array in state.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.box)

    def __getitem__(self, rows: int | slice | Sequence[int] | NDArray[Any]) -> Faces:
        """Select rows by a mask, by indices, by a slice or by one number. The result is always `Faces`."""
        if isinstance(rows, (int, np.integer)):
            if not -len(self) <= rows < len(self):  # this ends a `for` loop
                raise IndexError(f"row {rows} of {len(self)} faces")
            rows = [int(rows)]
        elif not isinstance(rows, slice):
            rows = np.asarray(rows)
            rows = rows if rows.size else rows.astype(np.int64).reshape(0)
            if rows.ndim != 1:
                raise IndexError(f"expected one row number, or a 1-D mask or list of them, got shape {rows.shape}")
        return Faces._from_valid({name: np.ascontiguousarray(array[rows]) for name, array in self._arrays().items()})

    def __iter__(self) -> Iterator[Faces]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Compare by value: True if all arrays have the same shapes and numbers (NaN equals NaN)."""
        if not isinstance(other, Faces):
            return NotImplemented
        theirs = other._arrays()
        return all(np.array_equal(array, theirs[name], equal_nan=True) for name, array in self._arrays().items())

    def __repr__(self) -> str:
        if not len(self):
            return "Faces(no faces)"
        count, images, people = len(self), len(np.unique(self.image)), len(np.unique(self.track[self.track >= 0]))
        height = self.box[:, 3] - self.box[:, 1]
        parts = [f"{count} face{'s' * (count > 1)} in {images} picture{'s' * (images > 1)}"]
        parts += [f"{people} track{'s' * (people > 1)}"] if people else []
        parts += [f"score {_span(self.score, '.2f')}", f"height {_span(height, '.0f')} px"]
        return f"Faces({', '.join(parts)})"

    @classmethod
    def empty(cls, identity_size: int = 0) -> Faces:
        """Return no faces, of a head model with `identity_size` components."""
        shapes = {name: [identity_size if size is None else size for size in rest] for name, rest in _SHAPES.items()}
        return cls._from_valid({name: np.zeros((0, *rest), _DTYPES[name]) for name, rest in shapes.items()})

    @classmethod
    def concatenate(cls, parts: Sequence[Faces]) -> Faces:
        """Join faces, in order.

        Raises:
            ValueError: If parts with faces have different identity sizes.
        """
        full = [part for part in parts if len(part)]
        if len(full) < 2:
            return full[0] if full else parts[0] if parts else cls.empty()
        sizes = {part.identity.shape[1] for part in full}
        if len(sizes) > 1:
            raise ValueError(f"expected faces of one head model, got identity sizes {sorted(sizes)}")
        return cls._from_valid({name: np.concatenate([getattr(part, name) for part in full]) for name in FIELD_NAMES})

    def replace(self, **changes: NDArray[Any]) -> Faces:
        """Return a copy with some arrays replaced. Their shapes are checked."""
        unknown = sorted(set(changes) - set(FIELD_NAMES))
        if unknown:
            raise ValueError(f"Faces has no {', '.join(unknown)}; it has {', '.join(FIELD_NAMES)}")
        return Faces(**{**self._arrays(), **changes})

    @property
    def pitch_yaw_roll_deg(self) -> NDArray[np.float32]:
        """(N, 3) pitch, yaw, roll in degrees; zeros for a frontal face.

        Positive angles: looks up, turns to the picture's left, tilts clockwise.
        """
        return np.asarray(pitch_yaw_roll_deg(self.rotation), np.float32).reshape(len(self), 3)

    def landmarks(self, name: str = "ibug68") -> NDArray[np.float32]:
        """Compute landmarks with the shipped head model.

        Args:
            name: "ibug68" (the 68 points as ICT-FaceKit places them), "photo68" (as landmark programs place them), "mediapipe478" or
                "dense520".

        Returns:
            (N, L, 3): x y in px of the picture, and depth on the same scale; smaller is nearer.

        Raises:
            ValueError: If there is no such landmark set, or if the identity belongs to another head model.
        """
        model = default_head_model()
        if len(self) and self.identity.shape[1] != model.identity_size:
            raise ValueError(f"expected an identity of {model.identity_size} components, got {self.identity.shape[1]}")
        faces = self if len(self) else Faces.empty(model.identity_size)
        return model.landmarks(faces, name)

    def expression_of(self, name: str) -> NDArray[np.float32]:
        """Return the weights (N,) in [0, 1] of one ARKit expression, such as "jawOpen"."""
        if name not in EXPRESSION_NAMES:
            raise ValueError(f"expected a name of mfn.EXPRESSION_NAMES, got {name!r}{did_you_mean(name, EXPRESSION_NAMES)}")
        return self.expression[:, EXPRESSION_NAMES.index(name)]

    def save(self, path: str | Path) -> None:
        """Write a .npz file of the ten arrays, whole or not at all."""
        write_npz(Path(path), self._arrays())

    @classmethod
    def load(cls, path: str | Path) -> Faces:
        """Read a .npz file that `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is not a file of faces, or one of another format.
        """
        arrays = read_npz(Path(path), FIELD_NAMES)
        try:
            return cls(**arrays)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def to_dict(self, picture: PictureInfo | None = None) -> dict[str, Any]:
        """Return the faces as dicts, lists and Python numbers, one dict a face: the content of a `.faces.json` file.

        Args:
            picture: Name and size of the picture, to be stored with the faces.
        """
        return faces_to_dict(self._arrays(), picture)

    def to_json(self, picture: PictureInfo | None = None) -> str:
        """Return `to_dict` as JSON text. `from_json` reads it."""
        return json.dumps(self.to_dict(picture), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Faces:
        """Read what `to_json` wrote (numbers to 7 digits), or a `.faces.json` file of `mfn detect`."""
        return cls(**parse_faces_document(text).arrays)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a table with one row a face: image, track, score, box, pose in degrees, place, and the 51 expression weights.

        Raises:
            ImportError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("Faces.to_pandas needs pandas: pip install pandas") from None
        columns: dict[str, NDArray[Any]] = {"image": self.image, "track": self.track, "score": self.score}
        columns |= dict(zip(("x1", "y1", "x2", "y2"), self.box.T))
        columns |= dict(zip(("pitch_deg", "yaw_deg", "roll_deg"), self.pitch_yaw_roll_deg.T))
        columns |= {"scale_px_per_m": self.scale, "center_x": self.center[:, 0], "center_y": self.center[:, 1]}
        columns |= dict(zip(EXPRESSION_NAMES, self.expression.T))
        return pandas.DataFrame({name: np.array(column) for name, column in columns.items()})

    def to_supervision(self) -> supervision.Detections:
        """Return the faces as `supervision.Detections`. The other arrays are in its `data`, by name.

        Raises:
            ImportError: If supervision is not installed.
        """
        try:
            import supervision
        except ImportError:
            raise ImportError("Faces.to_supervision needs supervision: pip install supervision") from None
        known = bool((self.track >= 0).any())
        return supervision.Detections(
            xyxy=self.box.copy(),
            confidence=self.score.copy(),
            class_id=np.zeros(len(self), int),
            tracker_id=self.track.copy() if known else None,
            data={name: array.copy() for name, array in self._arrays().items() if name not in ("box", "score", "track")},
        )


def _frozen(value: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Return a read-only array of this dtype: the array itself if it is one already and owns its memory, else a copy."""
    flags = value.flags
    if value.dtype == dtype and flags.c_contiguous and flags.owndata and not flags.writeable:
        return value
    copy = np.array(value, dtype, order="C")
    copy.setflags(write=False)
    return copy


def _span(values: NDArray[Any], form: str) -> str:
    low, high = format(float(values.min()), form), format(float(values.max()), form)
    return low if low == high else f"{low} to {high}"
