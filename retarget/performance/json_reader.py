"""Read performances from JSON: MediaPipe's face landmarker results, ARKit coefficients by name, Audio2Face, our own JSON
lines, and the `.faces.json` files that `mfn detect` writes.

A file holds a list of frames (also under a key such as "frames" or "results"), a single frame, or one frame a line.
`retarget.performance.json_frames` describes what a frame may look like.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import check_file, decode_recording
from retarget.performance.json_frames import (
    Json,
    Person,
    coefficients_of,
    faces_of,
    number_of,
    person_of,
    pose_of,
    times_s_of,
)
from retarget.performance.livelink import DEFAULT_DISTANCE_M
from retarget.performance.take import MAX_NUMBER, Footage, Take, unit_weights

_log = logging.getLogger(__name__)
_FRAME_KEYS = ("frames", "results", "samples", "data", "weightMat")
_NAME_KEYS = ("names", "facsNames", "blendShapeNames", "blendshapeNames", "blendshape_names")
_RATE_KEYS = ("fps", "exportFps", "frameRate", "frame_rate")
_READ_ERRORS = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)
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
        The take. People whose position is not in the file stand side by side, one meter in front of the camera. With a warning,
        frames that cannot be read are dropped, and so is the incomplete last line of a .jsonl file that was cut off.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON, half of its frames or more cannot be read, or no face in it has one of ARKit's coefficients. The
            message is one line.

    An actor is the `actor` of a face, else its `face_id`, `id` or `track`, else its place in the list of faces. Weights from 0 to
    100 are percents. A warning says so.
    """
    check_file(path, "takes as .json or .jsonl")
    try:
        text = decode_recording(Path(path).read_bytes())
        if not text.strip() and Path(path).suffix.lower() == ".jsonl":
            return Take.empty()
        data = _parse(text, float, str(path) if Path(path).suffix.lower() == ".jsonl" else None)
        footage = _footage(data, focal_px)
        is_document = isinstance(data, dict) and set(_FACES_FORMAT_KEYS) <= set(data)
        if is_document:
            _check_format(data)
        if is_document and not data["faces"]:
            return replace(Take.empty(), footage=footage)  # `mfn detect` found no face
        if is_document:
            data = _frames_of_document(data, fps, str(path))
        samples = _samples(data, fps, footage.focal_px, str(path))
        if not samples and data:
            raise ValueError("no face in it has one of ARKit's 52 coefficients (such as jawOpen)")
        return replace(_to_take(samples, str(path)), footage=footage)
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
        data = _parse(text, _refuse)
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


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _parse(text: str, read_constant: Callable[[str], float], recording: str | None = None) -> Any:
    """The value of a JSON text, or the list of the values of JSON lines.

    read_constant: reads NaN, Infinity and -Infinity, which some programs write.
    recording: name of a .jsonl file, whose last line may be cut off. None: that is an error.
    """
    try:
        return json.loads(text, parse_constant=read_constant)
    except json.JSONDecodeError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].lstrip().startswith("{"):
            raise
        values = [json.loads(line, parse_constant=read_constant) for line in lines[:-1]]
        try:
            return [*values, json.loads(lines[-1], parse_constant=read_constant)]
        except json.JSONDecodeError:
            if recording is None or text.endswith(("\n", "\r")):
                raise
            _log.warning("%s: the file ends early: its last line (%d) is incomplete and was left out", recording, len(text.splitlines()))
            return values


class _Sample(NamedTuple):
    """One face of one frame. place: its number in the frame; rotation: (4,) x y z w; translation: (3,) meters; None where unknown."""

    time_s: float
    frame: int
    place: int
    person: Person | None
    coefficients: NDArray[np.float64]
    rotation: NDArray[np.float64] | None
    translation: NDArray[np.float64] | None


def _frames_of_document(document: dict[str, Any], fps: float, source: str) -> Any:
    """The frames of a faces document of a clip, whose faces state the number of their frame as "image". Else the document itself."""
    faces: dict[int, list[Any]] = {}
    for face in document["faces"]:
        if "image" in face:
            faces.setdefault(int(number_of(face["image"])), []).append(face)
    if len(faces) < 2:
        return document
    rate = _rate_of(document, fps)
    if not any(key in document for key in _RATE_KEYS):
        _log.warning('%s: it states no "fps", so its frames were read as %g a second', source, rate)
    return [{**document, "time_s": number / rate, "faces": faces[number]} for number in sorted(faces)]


def _rate_of(data: dict[str, Any], fps: float) -> float:
    """The frames a second that a file states, or else `fps`."""
    rate = number_of(next((data[key] for key in _RATE_KEYS if key in data), fps))
    if not 0 < rate < 1e6:
        raise ValueError(f"a rate of {rate:g} frames a second (expected more than 0)")
    return rate


def _samples(data: Any, fps: float, focal_px: float | None, source: str) -> list[_Sample]:
    """Every face of the file that has at least one of ARKit's coefficients. Single frames that cannot be read are left out."""
    names: list[str] | None = None
    if isinstance(data, dict):
        names = next((data[key] for key in _NAME_KEYS if isinstance(data.get(key), list)), None)
        fps = _rate_of(data, fps)
        data = next((data[key] for key in _FRAME_KEYS if isinstance(data.get(key), list)), [data])
    if not isinstance(data, list):
        raise ValueError(f"expected a list of frames, got {type(data).__name__}")
    samples: list[_Sample] = []
    bad: list[tuple[int, Exception]] = []
    for number, (frame, stated_s) in enumerate(zip(data, times_s_of(data), strict=True)):
        if isinstance(frame, list):  # a row of weights, or the faces of a frame
            frame = {"coefficients": frame} if names else {"faces": frame}
        try:
            if not isinstance(frame, dict):
                raise ValueError(f"frame {number} is {type(frame).__name__} (expected an object)")
            if isinstance(stated_s, ValueError):
                raise stated_s
            samples += _samples_of_frame(frame, number, number / fps if stated_s is None else stated_s, names, focal_px)
        except _READ_ERRORS as error:
            bad.append((number, error))
    if 2 * len(bad) >= len(data) > 0:
        raise bad[0][1]
    if bad:
        frames, reason = f"{len(bad)} of {len(data)} frames", " ".join(str(bad[0][1]).split())[:80]
        _log.warning("%s: %s cannot be read and were left out, the first is frame %d (%s)", source, frames, bad[0][0], reason)
    return samples


def _samples_of_frame(
    frame: Json, number: int, time_s: float, names: list[str] | None, focal_px: float | None
) -> list[_Sample]:
    samples = []
    for place, face in enumerate(faces_of(frame)):
        coefficients = coefficients_of(face, names)
        if coefficients is not None:
            samples.append(_Sample(time_s, number, place, person_of(face, frame), coefficients, *pose_of(face, focal_px)))
    return samples


def _actors_of(samples: list[_Sample]) -> NDArray[np.int64]:
    """Number the people. Names and large numbers are counted from 0; faces of unknown people get the numbers after all others.

    What two faces of a frame share is no person, and neither is an id where each face has one of its own.
    """
    count = Counter((sample.frame, sample.person) for sample in samples)
    no_people = {person.key for (_, person), n in count.items() if person is not None and n > 1} - {"actor"}
    ids = [sample.person.name for sample in samples if sample.person is not None and sample.person.key == "id"]
    if len(set(ids)) == len(ids) and len({sample.time_s for sample in samples}) > 1:
        no_people.add("id")
    people = [None if s.person is None or s.person.key in no_people else s.person.name for s in samples]
    known = list(dict.fromkeys(person for person in people if person is not None))
    are_numbers = all(isinstance(person, int) and abs(person) < 1 << 31 for person in known)
    number_by_person = {person: int(person) if are_numbers else k for k, person in enumerate(known)}
    free = max(number_by_person.values(), default=-1) + 1
    numbers = [free + s.place if person is None else number_by_person[person] for s, person in zip(samples, people, strict=True)]
    return np.array(numbers, np.int64)


def _to_take(samples: list[_Sample], source: str) -> Take:
    """One take. People without a position stand side by side, DEFAULT_DISTANCE_M in front of the camera."""
    if not samples:
        return Take.empty()
    actor = _actors_of(samples)
    actors, index = np.unique(actor, return_inverse=True)
    x = (index - (len(actors) - 1) / 2) * _SPACING_M
    identity = np.array([0.0, 0.0, 0.0, 1.0])
    default = np.stack([x, np.zeros(len(x)), np.full(len(x), -DEFAULT_DISTANCE_M)], axis=1)
    rotation = [identity if sample.rotation is None else sample.rotation for sample in samples]
    places = [default[k] if sample.translation is None else sample.translation for k, sample in enumerate(samples)]
    return Take(
        time_s=np.array([sample.time_s for sample in samples]),
        actor=actor.astype(np.int32),
        coefficients=unit_weights(np.stack([sample.coefficients for sample in samples]), source).astype(np.float32),
        rotation=np.stack(rotation).astype(np.float32),
        translation=np.stack(places).astype(np.float32),
    )
