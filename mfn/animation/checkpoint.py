"""Keep the detections of a clip in a folder beside the output, so that a stopped run can continue."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.video.tracking.looks import LOOKS_FILE
from retarget.io.files import atomic_write, file_digest

if TYPE_CHECKING:
    from mfn.inference.predictor import Predictor

_FILE = "found.npz"
_FACE_FIELDS = tuple(field.name for field in fields(Faces))


@dataclass(frozen=True)
class ClipDetections:
    """Faces detected in the first F frames of a clip."""

    faces: Faces
    """All faces; `image` is the number of the frame."""
    time_s: NDArray[np.float64]
    """(F,) time of each frame, seconds."""
    change: NDArray[np.float64]
    """(F,) change of each frame to the one before it (see `mfn.video.shots.thumbnail_change`)."""
    looks: NDArray[np.float32]
    """(N, K) how faces look (see `mfn.video.tracking.looks`), NaN where they were not looked at. K is 0 if looks are not read."""
    complete: bool
    """Whether these are all frames of the clip."""


def checkpoint_folder(out: Path) -> Path:
    """Return the folder of the checkpoint that belongs to an output file."""
    return out.with_name(out.name + ".part")


def detection_key(source: str, predictor: Predictor, start_s: float = 0.0, end_s: float | None = None) -> str:
    """Describe what detections depend on: the clip and the part of it, the networks and their options."""
    state = os.stat(source)
    network = [predictor.fingerprint(), "" if predictor.free else file_digest(LOOKS_FILE)]
    return json.dumps([os.path.basename(source), state.st_size, state.st_mtime_ns, network, start_s, end_s])


def save_detections(folder: Path, key: str, detections: ClipDetections) -> None:
    """Write a checkpoint, whole or not at all. The folder is made if it is missing."""
    folder.mkdir(exist_ok=True)
    arrays = {name: getattr(detections.faces, name) for name in _FACE_FIELDS}
    arrays |= {"time_s": detections.time_s, "change": detections.change, "looks": detections.looks}
    arrays |= {"whole": np.array(detections.complete), "key": np.array(key)}
    atomic_write(folder / _FILE, lambda temporary: np.savez(temporary, allow_pickle=False, **arrays))


def load_detections(folder: Path, key: str) -> ClipDetections | None:
    """Read a checkpoint.

    Args:
        folder: See `checkpoint_folder`.
        key: The `detection_key` of the present run.

    Returns:
        The detections, or None if there is no checkpoint.

    Raises:
        ValueError: The checkpoint is damaged, or belongs to another clip or to other options.
    """
    if not (folder / _FILE).is_file():
        return None
    try:
        with np.load(folder / _FILE, allow_pickle=False) as data:
            saved_key = str(data["key"])
            faces = Faces(**{name: data[name] for name in _FACE_FIELDS})
            detections = ClipDetections(faces, data["time_s"], data["change"], data["looks"], bool(data["whole"]))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError):
        raise ValueError(f"{folder}: this checkpoint is damaged; leave out --resume to start again") from None
    if saved_key != key:
        raise ValueError(
            f"{folder}: this checkpoint is of another clip or part of it, or of another --min-face, --score or --weights; "
            "leave out --resume to start again"
        )
    return detections


def delete_checkpoint(folder: Path) -> None:
    """Delete the folder, if it holds a checkpoint."""
    if (folder / _FILE).is_file():
        shutil.rmtree(folder)
