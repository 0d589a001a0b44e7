"""Performances as JSON: MediaPipe's face landmarker results, ARKit coefficients by name, Audio2Face, our own JSON lines
and the faces of a picture that `mfn detect` found.

Understood are lists of frames (also below "frames", "results", "samples"), one frame, or a frame a line. A frame
holds a face or several ("faces", "face_blendshapes"); a face holds coefficients by name ({"jawOpen": 0.4}), or as
MediaPipe's categories, or as a list whose names stand at the top ("names", "facsNames"). Spelling as in
`arkit.canonical_name`; what is not of the 52 (`_neutral`) is left out, halves of one shape are averaged.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.geometry.node_tree import matrix_to_quaternion, pure_rotation, shortest_turn
from retarget.io.files import check_file, decode_text
from retarget.performance.livelink import AWAY_M
from retarget.performance.take import Take

_COLUMN = {name: column for column, name in enumerate(ARKIT_NAMES)}
_FRAMES = ("frames", "results", "samples", "data", "weightMat")
_NAMES = ("names", "facsNames", "blendShapeNames", "blendshapeNames", "blendshape_names")
_SHAPES = ("coefficients", "blendShapes", "blendshapes", "blend_shapes", "weights", "categories", "face_blendshapes", "expression")
_SEVERAL = ("faces", "face_blendshapes", "faceBlendshapes")
_SECONDS = {"time_s": 1.0, "timestamp_ms": 1e-3, "timestampMs": 1e-3, "time_ms": 1e-3, "timeMs": 1e-3}
_TIMES = ("time", "t", "timestamp")  # in seconds, or as MediaPipe has it in thousandths or millionths
_LONGEST_STEP = 4.0  # seconds between frames
_RATE = ("fps", "exportFps", "frameRate", "frame_rate")
_MATRICES = ("facial_transformation_matrixes", "facialTransformationMatrixes")
_SIDE_M = 0.35  # between people of whom no place is known


def read_json(path: str | os.PathLike[str], fps: float = 30.0) -> Take:
    """A take from JSON or JSON lines. fps: where the file has neither times nor a rate."""
    check_file(path, "takes as .json or .jsonl")
    try:
        text = decode_text(Path(path).read_bytes())
        if not text.strip() and Path(path).suffix.lower() == ".jsonl":
            return Take.empty()
        data = _parse(text)
        rows = list(_samples(data, fps))
        if not rows and data:
            raise ValueError("no face in it has one of ARKit's 52 coefficients (such as jawOpen)")
        return _gather(rows)
    except ValueError as error:
        raise ValueError(f"{path}: not a take as JSON ({' '.join(str(error).split())[:200]})") from None
    except RecursionError:
        raise ValueError(f"{path}: not a take as JSON (nested too deeply)") from None
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(
            f"{path}: not a take as JSON (a value is missing or of the wrong kind: {error!r:.80})"
        ) from None


def _parse(text: str) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON number")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].lstrip().startswith("{"):
            raise
        return [json.loads(line, parse_constant=refuse) for line in lines]


Sample = tuple[float, int, NDArray[np.float64], "NDArray[np.float64] | None", "NDArray[np.float64] | None"]


def _samples(data: Any, fps: float) -> Iterator[Sample]:
    """(time, actor, coefficients, rotation, translation) of every face in which something is known."""
    names: list[str] | None = None
    if isinstance(data, dict):
        names = next((data[key] for key in _NAMES if isinstance(data.get(key), list)), None)
        rate = next((data[key] for key in _RATE if key in data), fps)
        fps = _number(rate)
        if not 0 < fps < 1e6:
            raise ValueError(f"a rate of {fps:g} frames a second (expected more than 0)")
        data = next((data[key] for key in _FRAMES if isinstance(data.get(key), list)), [data])
    if not isinstance(data, list):
        raise ValueError(f"expected a list of frames, got {type(data).__name__}")
    unit = _unit([frame for frame in data if isinstance(frame, dict)])
    for number, frame in enumerate(data):
        if isinstance(frame, list):  # a row of weights, or the faces of a frame
            frame = {"coefficients": frame} if names else {"faces": frame}
        if not isinstance(frame, dict):
            raise ValueError(f"frame {number} is {type(frame).__name__} (expected an object)")
        key = _clock(frame)
        time_s = number / fps if key is None else _number(frame[key]) * _SECONDS.get(key, unit)
        for actor, face in enumerate(_faces(frame)):
            coefficients = _coefficients(face, names)
            if coefficients is not None:
                who = face.get("actor", frame.get("actor", actor))
                rotation, translation = _pose(face)
                yield time_s, int(_number(who)), coefficients, rotation, translation


def _clock(frame: dict[str, Any]) -> str | None:
    """The key of a frame's time."""
    return next((key for key in (*_SECONDS, *_TIMES) if isinstance(frame.get(key), (int, float))), None)


def _unit(frames: list[dict[str, Any]]) -> float:
    """What the times whose names do not say it are counted in, seconds: that in which frames follow each other."""
    times = [_number(frame[key]) for frame in frames if (key := _clock(frame)) in _TIMES]
    steps = np.diff(np.unique(times))
    step = float(np.median(steps)) if len(steps) else 0.0
    return 1.0 if step < _LONGEST_STEP else 1e-3 if step < _LONGEST_STEP * 1e3 else 1e-6


def _faces(frame: dict[str, Any]) -> list[dict[str, Any]]:
    """The faces of one frame, each an object."""
    for key in _SEVERAL:
        several = frame.get(key)
        if not isinstance(several, list):
            continue
        if several and isinstance(several[0], dict) and _name(several[0]):
            return [{**frame, "coefficients": several}]  # the categories of a single face
        faces = [face if isinstance(face, dict) else {"coefficients": face} for face in several]
        if "width" in frame and "height" in frame:
            faces = [{**face, "size": [frame["width"], frame["height"]]} for face in faces]
        matrices: list[Any] = next((frame[name] for name in _MATRICES if isinstance(frame.get(name), list)), [])
        return [{**face, "matrix_cm": matrices[k]} if k < len(matrices) else face for k, face in enumerate(faces)]
    return [frame]


def _coefficients(face: dict[str, Any], names: list[str] | None) -> NDArray[np.float64] | None:
    """(52,), or None if nothing in it is one of them."""
    given: Any = next((face[key] for key in _SHAPES if isinstance(face.get(key), (dict, list))), face)
    if isinstance(given, list) and all(isinstance(item, dict) for item in given):
        pairs = [(_name(item), _score(item)) for item in given]
    elif isinstance(given, list):
        if names is None or len(names) != len(given):
            raise ValueError(f"a face has {len(given)} weights for {len(names or [])} names (expected a name for each)")
        pairs = list(zip(names, given, strict=True))
    else:
        pairs = list(given.items())
    total, count = np.zeros(len(ARKIT_NAMES)), np.zeros(len(ARKIT_NAMES))
    for name, value in pairs:
        known = canonical_name(str(name))
        if known is not None:
            total[_COLUMN[known]] += _number(value)
            count[_COLUMN[known]] += 1
    return (total / np.maximum(count, 1)).clip(0, 1) if count.any() else None


def _name(category: dict[str, Any]) -> str:
    return str(next((category[k] for k in ("category_name", "categoryName", "name") if category.get(k)), ""))


def _score(category: dict[str, Any]) -> Any:
    return next((category[k] for k in ("score", "value", "weight") if k in category), None)


def _pose(face: dict[str, Any]) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Rotation (4,) x y z w and place (3,) in metres, where the file has them. MediaPipe's matrices are in
    centimetres, ARKit's transforms in metres; both have the axes of `Take`. Faces that `mfn detect` wrote have a
    matrix to a camera whose y goes down, and pixels."""
    for key, unit_m in (("matrix_cm", 0.01), ("transform", 1.0)):
        if key in face:
            given = face[key]
            matrix = _numbers(given["data"] if isinstance(given, dict) else given, 16).reshape(4, 4)
            matrix = matrix if np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-4) else matrix.T  # by column
            return matrix_to_quaternion(pure_rotation(matrix)), matrix[:3, 3] * unit_m
    if {"rotation", "scale", "center", "size"} <= set(face):
        size, center, scale = _numbers(face["size"], 2), _numbers(face["center"], 2), _numbers(face["scale"], 1)
        place = np.append((center - size / 2) * (1, -1), -size.max()) / max(float(scale[0]), 1e-6)
        towards = shortest_turn(np.array([0.0, 0.0, -1.0]), place / np.linalg.norm(place))  # it is relative to the ray
        turn = towards @ np.diag([1.0, -1.0, -1.0]) @ _numbers(face["rotation"], 9).reshape(3, 3)
        return matrix_to_quaternion(pure_rotation(turn)), place
    rotation = _numbers(face["rotation"], 4) if "rotation" in face else None
    return rotation, _numbers(face["translation"], 3) if "translation" in face else None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} is no finite number")
    return float(value)


def _numbers(values: Any, count: int) -> NDArray[np.float64]:
    flat = np.array(values, np.float64).ravel()
    if flat.shape != (count,) or not (np.abs(flat) < 1e9).all():
        raise ValueError(f"expected {count} finite numbers, got {str(values)[:60]}")
    return flat


def _gather(rows: list[Sample]) -> Take:
    """One Take; who has no place stands a metre away, people beside each other."""
    if not rows:
        return Take.empty()
    actor = np.array([row[1] for row in rows])
    if np.abs(actor).max() >= 1 << 31:
        raise ValueError("an actor's number is not a 32-bit one")
    names, which = np.unique(actor, return_inverse=True)
    beside = (which - (len(names) - 1) / 2) * _SIDE_M
    return Take(
        time_s=np.array([row[0] for row in rows]),
        actor=actor,
        coefficients=np.stack([row[2] for row in rows]),
        rotation=np.stack([(0.0, 0.0, 0.0, 1.0) if row[3] is None else row[3] for row in rows]),
        translation=np.stack([(x, 0.0, -AWAY_M) if row[4] is None else row[4] for row, x in zip(rows, beside)]),
    )
