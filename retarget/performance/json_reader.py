"""Read performances from JSON: MediaPipe's face landmarker results, ARKit coefficients by name, Audio2Face, our own JSON
lines, and the `.faces.json` files that `mfn detect` writes.

A file holds a list of frames (also under a key such as "frames" or "results"), a single frame, or one frame a line.
`retarget.performance.json_frames` describes what a frame may look like.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import check_file, decode_recording
from retarget.performance.json_frames import coefficients_of, faces_of, number_of, pose_of, times_s_of
from retarget.performance.livelink import DEFAULT_DISTANCE_M
from retarget.performance.take import MAX_NUMBER, Footage, Take

_log = logging.getLogger(__name__)
_FRAME_KEYS = ("frames", "results", "samples", "data", "weightMat")
_NAME_KEYS = ("names", "facsNames", "blendShapeNames", "blendshapeNames", "blendshape_names")
_RATE_KEYS = ("fps", "exportFps", "frameRate", "frame_rate")
_SPACING_M = 0.35  # between neighbors, where the file has no positions

FACES_FORMAT = 1
"""Number of the format of `.faces.json` files that is read."""
_FACES_FORMAT_KEYS = ("format", "identity_size", "faces")
_FACE_FIELDS = ("image", "box", "score", "rotation", "scale", "center", "identity", "track")


@dataclass(frozen=True)
class FacesDocument:
    """The content of a `.faces.json` file: N faces of one or more pictures, I identity coefficients each.

    Attributes:
        width: Width of the picture in px, or None if the file does not state it.
        height: Height of the picture in px, or None.
        arrays: The fields of `mfn.Faces` by name: image (N,), box (N, 4) px, score (N,), rotation (N, 3, 3),
            scale (N,) px per meter, center (N, 2) px, identity (N, I), track (N,), refined (N,) and expression (N, 51).
    """

    width: int | None
    height: int | None
    arrays: dict[str, NDArray[Any]]


def read_json(path: str | os.PathLike[str], fps: float = 30.0, focal_px: float | None = None) -> Take:
    """Read a take from a .json or .jsonl file.

    Args:
        path: The file.
        fps: Frames a second, for files that state neither times nor a rate.
        focal_px: Focal length of the camera, px of the file's picture. None: as the file states it, else `default_focal_px`.

    Returns:
        The take. People whose position is not in the file stand side by side, one meter in front of the camera. Of a .jsonl
        file that was cut off, the incomplete last line is dropped, with a warning.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON, or no face in it has one of ARKit's coefficients. The message is one line.
    """
    check_file(path, "takes as .json or .jsonl")
    try:
        text = decode_recording(Path(path).read_bytes())
        if not text.strip() and Path(path).suffix.lower() == ".jsonl":
            return Take.empty()
        data = _parse(text, str(path) if Path(path).suffix.lower() == ".jsonl" else None)
        footage = _footage(data, focal_px)
        is_document = isinstance(data, dict) and set(_FACES_FORMAT_KEYS) <= set(data)
        if is_document:
            _check_format(data)
        if is_document and not data["faces"]:
            return replace(Take.empty(), footage=footage)  # `mfn detect` found no face
        samples = list(_samples(data, fps, footage.focal_px))
        if not samples and data:
            raise ValueError("no face in it has one of ARKit's 52 coefficients (such as jawOpen)")
        return replace(_to_take(samples), footage=footage)
    except ValueError as error:
        raise ValueError(f"{path}: not a take as JSON ({' '.join(str(error).split())[:200]})") from None
    except RecursionError:
        raise ValueError(f"{path}: not a take as JSON (nested too deeply)") from None
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(
            f"{path}: not a take as JSON (a value is missing or of the wrong type: {error!r:.80})"
        ) from None


def _footage(data: Any, focal_px: float | None) -> Footage:
    """The footage that a file states: "footage" in our JSON lines, the picture of a `.faces.json` file, or a rate."""
    first = data[0] if isinstance(data, list) and data else data
    if not isinstance(first, dict):
        return Footage(focal_px=focal_px)
    stated = first.get("footage")
    if not isinstance(stated, dict):
        rate = next((first[key] for key in _RATE_KEYS if key in first), None)
        stated = {"width": first.get("width"), "height": first.get("height"), "fps": rate, "name": first.get("picture")}
    kinds: dict[str, Any] = {"width": int, "height": int, "focal_px": (int, float), "fps": (int, float)}
    found = {key: stated[key] for key, kind in kinds.items() if isinstance(stated.get(key), kind)}
    known = {key: value for key, value in found.items() if not isinstance(value, bool) and 0 < value < MAX_NUMBER}
    name = stated.get("name")
    known |= {} if focal_px is None else {"focal_px": focal_px}
    return Footage(**known, name=name if isinstance(name, str) else None)


def parse_faces_document(text: str) -> FacesDocument:
    """Parse the text of a `.faces.json` file, as `mfn.Faces.to_json` and `mfn detect` write it.

    Args:
        text: The JSON text.

    Returns:
        All fields of the faces as arrays with a leading N. N = 0 is legal.

    Raises:
        ValueError: The text is not JSON, a field is missing, or it has another format.
    """
    try:
        data = _parse(text)
        missing = [key for key in _FACES_FORMAT_KEYS if key not in data]
        if missing:
            raise ValueError(f"{', '.join(missing)} missing")
        _check_format(data)
        rows = data["faces"]
        arrays = {name: np.array([row[name] for row in rows]) for name in _FACE_FIELDS}
        arrays["refined"] = np.array([row.get("refined", False) for row in rows], bool)  # older files lack it
        arrays["expression"] = np.array([[row["expression"][name] for name in EXPRESSION_NAMES] for row in rows])
        if not rows:
            arrays = _empty_fields(int(data["identity_size"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        detail = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
        raise ValueError(f"not faces as JSON: {detail}") from None
    return FacesDocument(data.get("width"), data.get("height"), arrays)


def _check_format(document: dict[str, Any]) -> None:
    if document["format"] != FACES_FORMAT:
        raise ValueError(f"format {document['format']!r:.20}, this version reads {FACES_FORMAT}")


def _empty_fields(identity_size: int) -> dict[str, NDArray[Any]]:
    shapes = {"box": (4,), "rotation": (3, 3), "center": (2,), "identity": (identity_size,)}
    shapes |= {"expression": (len(EXPRESSION_NAMES),)}
    types = {"image": np.int64, "track": np.int64, "refined": np.bool_}
    return {
        name: np.zeros((0, *shapes.get(name, ())), types.get(name, np.float32))
        for name in (*_FACE_FIELDS, "refined", "expression")
    }


def _parse(text: str, recording: str | None = None) -> Any:
    """The value of a JSON text, or the list of the values of JSON lines.

    recording: name of a .jsonl file, whose last line may be cut off. None: that is an error.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON number")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].lstrip().startswith("{"):
            raise
        values = [json.loads(line, parse_constant=refuse) for line in lines[:-1]]
        try:
            return [*values, json.loads(lines[-1], parse_constant=refuse)]
        except json.JSONDecodeError:
            if recording is None or text.endswith(("\n", "\r")):
                raise
            _log.warning("%s: the file ends early: its last line (%d) is incomplete and was left out", recording, len(text.splitlines()))
            return values


class _Sample(NamedTuple):
    """One face of one frame. rotation: (4,) x y z w; translation: (3,) meters; both None where unknown."""

    time_s: float
    actor: int
    coefficients: NDArray[np.float64]
    rotation: NDArray[np.float64] | None
    translation: NDArray[np.float64] | None


def _samples(data: Any, fps: float, focal_px: float | None) -> Iterator[_Sample]:
    """Every face of the file that has at least one of ARKit's coefficients."""
    names: list[str] | None = None
    if isinstance(data, dict):
        names = next((data[key] for key in _NAME_KEYS if isinstance(data.get(key), list)), None)
        fps = number_of(next((data[key] for key in _RATE_KEYS if key in data), fps))
        if not 0 < fps < 1e6:
            raise ValueError(f"a rate of {fps:g} frames a second (expected more than 0)")
        data = next((data[key] for key in _FRAME_KEYS if isinstance(data.get(key), list)), [data])
    if not isinstance(data, list):
        raise ValueError(f"expected a list of frames, got {type(data).__name__}")
    for number, (frame, stated_s) in enumerate(zip(data, times_s_of(data), strict=True)):
        if isinstance(frame, list):  # a row of weights, or the faces of a frame
            frame = {"coefficients": frame} if names else {"faces": frame}
        if not isinstance(frame, dict):
            raise ValueError(f"frame {number} is {type(frame).__name__} (expected an object)")
        time_s = number / fps if stated_s is None else stated_s
        for index, face in enumerate(faces_of(frame)):
            coefficients = coefficients_of(face, names)
            if coefficients is not None:
                actor = int(number_of(face.get("actor", frame.get("actor", index))))
                pose = pose_of(face, focal_px)
                yield _Sample(time_s, actor, coefficients, pose.rotation, pose.translation)


def _to_take(samples: list[_Sample]) -> Take:
    """One take. People without a position stand side by side, DEFAULT_DISTANCE_M in front of the camera."""
    if not samples:
        return Take.empty()
    actor = np.array([sample.actor for sample in samples])
    if np.abs(actor).max() >= 1 << 31:
        raise ValueError("an actor's number does not fit 32 bits")
    actors, index = np.unique(actor, return_inverse=True)
    x = (index - (len(actors) - 1) / 2) * _SPACING_M
    identity = np.array([0.0, 0.0, 0.0, 1.0])
    default = np.stack([x, np.zeros(len(x)), np.full(len(x), -DEFAULT_DISTANCE_M)], axis=1)
    rotation = [identity if sample.rotation is None else sample.rotation for sample in samples]
    place = [default[k] if sample.translation is None else sample.translation for k, sample in enumerate(samples)]
    return Take(
        time_s=np.array([sample.time_s for sample in samples]),
        actor=actor.astype(np.int32),
        coefficients=np.stack([sample.coefficients for sample in samples]).astype(np.float32),
        rotation=np.stack(rotation).astype(np.float32),
        translation=np.stack(place).astype(np.float32),
    )
