"""The tables that `mfn batch` writes: their columns, types and meaning. `FORMAT` changes when a column changes its meaning or goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mfn.structures.cells import IDENTITY_SIZE
from retarget.arkit import EXPRESSION_NAMES

FORMAT = 1
"""Version of the columns. A new column does not change it."""

Kind = Literal["text", "integer", "number", "flag", "numbers"]
Row = dict[str, object]


class Column(NamedTuple):
    """One column. `kind` "flag" is true, false or empty: unknown. `meaning` has the unit."""

    name: str
    kind: Kind
    meaning: str


_PATH = Column("path", "text", "path or URL of the picture, as it was listed")
_TAKEN = Column("taken", "text", "EXIF time of the shot, ISO 8601, with fraction and zone where the camera noted them; empty: unknown")

FACE_COLUMNS: tuple[Column, ...] = (
    _PATH,
    Column("face", "integer", "number of the face in its picture, from 0, best score first"),
    Column("picture_width", "integer", "px of the upright picture"),
    Column("picture_height", "integer", "px of the upright picture"),
    _TAKEN,
    Column("x1", "number", "left side of the box, px"),
    Column("y1", "number", "upper side of the box, px"),
    Column("x2", "number", "right side of the box, px"),
    Column("y2", "number", "lower side of the box, px"),
    Column("score", "number", "probability of a face, 0 to 1"),
    Column("pitch_deg", "number", "positive: looks up"),
    Column("yaw_deg", "number", "positive: turns to the picture's left"),
    Column("roll_deg", "number", "positive: tilts clockwise"),
    Column("scale_px_per_m", "number", "weak-perspective camera"),
    Column("center_x", "number", "projection of the point between the eyes, px"),
    Column("center_y", "number", "projection of the point between the eyes, px"),
    Column("face_px", "number", "height of the box in the picture"),
    Column("network_px", "number", "height of the box at the scale at which the network saw the picture; flags depend on it"),
    Column("sharpness", "number", "0: blurred, 1: sharp; detail that a blur of the face would remove"),
    Column("visible", "number", "share of the face inside the picture and not behind a nearer face, 0 to 1"),
    Column("gaze_deg", "number", "angle between the gaze and the camera"),
    Column("eyes_closed", "flag", "both eyes are closed"),
    Column("smile", "flag", "the mouth smiles"),
    Column("looking_at_camera", "flag", "the eyes look into the camera"),
    Column("identity", "numbers", f"{IDENTITY_SIZE} coefficients of the head model, standard deviations"),
    *(Column(name, "number", "ARKit weight, 0 to 1") for name in EXPRESSION_NAMES),
)
PICTURE_COLUMNS: tuple[Column, ...] = (
    _PATH,
    Column("width", "integer", "px of the upright picture"),
    Column("height", "integer", "px of the upright picture"),
    Column("bytes", "integer", "size of the file"),
    _TAKEN,
    Column("faces", "integer", "number of faces found"),
)
FAILURE_COLUMNS: tuple[Column, ...] = (_PATH, Column("reason", "text", "why the picture could not be read, in one line"))

TABLES: dict[str, tuple[Column, ...]] = {"faces": FACE_COLUMNS, "pictures": PICTURE_COLUMNS, "failures": FAILURE_COLUMNS}
"""Name of a table -> its columns, in order."""


@dataclass
class Rows:
    """Rows of the three tables."""

    faces: list[Row] = field(default_factory=list)
    pictures: list[Row] = field(default_factory=list)
    failures: list[Row] = field(default_factory=list)

    def fail(self, path: str, reason: str) -> None:
        """Add a picture that could not be read. The reason loses the path at its beginning, which has a column of its own."""
        self.failures.append({"path": path, "reason": reason.removeprefix(f"{path}: ")})
