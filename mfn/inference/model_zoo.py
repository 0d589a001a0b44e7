"""The networks that ship in the package, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from mfn.weights import weights_path
from retarget.io.suggest import did_you_mean

ModelName = Literal["small", "large", "free"]

MIN_FACE_PX = 16.0
"""Default height of the smallest face to find in a picture, in px of the picture."""
FACES_ACROSS = 40.0
"""In small pictures the default is the shorter side divided by this, if that is less: a crowd in a small picture has small faces. Below
about 12 px it has no effect, because pictures are enlarged twice at most."""
MAX_ENLARGED_PX = 18_000_000
"""By default a picture is not enlarged to more px than this, so that the time of large photos stays low. It costs some faces: in 36
photos that had been made smaller, 352 of 378 faces from 16 px on were found with an enlargement of 1.5, and 341 without, at a precision of
0.96 and 0.97 (experiments/accuracy/ablation/enlargement.py)."""
REFERENCE_HEIGHT_PX = 720
"""Defaults for frames of clips and cameras are given for frames of this height (their shorter side), and grow with the frame."""


SINGLE_FACE_WEIGHTS = weights_path("sfn.onnx")
READER_WEIGHTS = weights_path("reader.onnx")
EYE_READER_WEIGHTS = weights_path("eyes.onnx")


class Model(NamedTuple):
    """A multi-face network with its readers, and what it does with frames of clips and cameras.

    Attributes:
        path: Its ONNX file.
        min_face_px: Default height of the smallest face to find in a frame of `REFERENCE_HEIGHT_PX`, in px of the frame.
        frame_faces: Number of faces of a frame that the readers read, K. It is fixed, so that the time is.
        reader: ONNX file of its face reader.
        eye_reader: ONNX file of its eye reader.
        portrait_reader: ONNX file of its portrait reader.
        free: Whether all of these were learned from what a company may use.
    """

    path: Path
    min_face_px: float
    frame_faces: int
    reader: Path = READER_WEIGHTS
    eye_reader: Path = EYE_READER_WEIGHTS
    portrait_reader: Path = SINGLE_FACE_WEIGHTS
    free: bool = False


DEFAULT_WEIGHTS = weights_path("mfn.onnx")
MODELS: dict[str, Model] = {
    "small": Model(DEFAULT_WEIGHTS, 60.0, 16),
    "large": Model(DEFAULT_WEIGHTS, 36.0, 64),
    "free": Model(
        weights_path("free/mfn.onnx"),
        36.0,
        64,
        weights_path("free/reader.onnx"),
        weights_path("free/eyes.onnx"),
        weights_path("free/sfn.onnx"),
        free=True,
    ),
}
"""`small` and `large` are the same networks, for research. `free` are others, learned from what a company may use."""
DEFAULT_MODEL: ModelName = "large"
"""The model for pictures and clips, in Python and on the command line."""
LIVE_MODEL: ModelName = "small"
"""The model for webcams: twice as fast, because it leaves out the smallest faces, and the readers read fewer faces of a crowd."""


def find_model(weights: str | Path) -> Model:
    """Return the model of a name, or of an ONNX file.

    Args:
        weights: "small", "large", "free", or the path of a multi-face network's ONNX file.

    Returns:
        The model. A file gets the readers and the defaults for frames of "large".

    Raises:
        FileNotFoundError: If `weights` is neither a name nor a file.
    """
    if str(weights) in MODELS:
        return MODELS[str(weights)]
    if not Path(weights).is_file():
        expected = f"{', '.join(MODELS)}, or an .onnx file"
        raise FileNotFoundError(f"{weights}: no such file (expected {expected}){did_you_mean(str(weights), MODELS)}")
    return MODELS[DEFAULT_MODEL]._replace(path=Path(weights))


def default_reader(weights: str | Path = DEFAULT_MODEL) -> Path | None:
    """Return the file of the face reader that ships with a model, or None in a package without one. `weights`: see `find_model`."""
    return _existing(find_model(weights).reader)


def default_eye_reader(weights: str | Path = DEFAULT_MODEL) -> Path | None:
    """Return the file of the eye reader that ships with a model, or None in a package without one. `weights`: see `find_model`."""
    return _existing(find_model(weights).eye_reader)


def default_portrait_reader(weights: str | Path = DEFAULT_MODEL) -> Path | None:
    """Return the file of the portrait reader that ships with a model, or None in a package without one. `weights`: see `find_model`."""
    return _existing(find_model(weights).portrait_reader)


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None
