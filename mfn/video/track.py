"""Detect and track the faces of a video, frame by frame, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mfn.inference.model_zoo import DEFAULT_MODEL, LIVE_MODEL
from mfn.inference.predictor import Predictor
from mfn.inference.readers.frame_memory import FrameMemory
from mfn.structures.faces import Faces
from mfn.video.shots import CutWatch
from mfn.video.tracking.online_tracker import Tracker
from mfn.video.webcam import is_camera, open_source
from retarget.io.images import Image

Video = str | Path | int | Iterable[tuple[float, Image]]


def track(video: Video, predictor: Predictor | None = None, *, smooth: bool = True) -> Iterator[Faces]:
    """Detect and track the faces of a video.

        for faces in mfn.track("clip.mp4"):
            print(faces.track, faces.box)

    Args:
        video: Video file; number of a camera (0 is the first); or your own frames, as pairs of a time in seconds,
            rising, and an image (H, W, 3) uint8 RGB.
        predictor: Detects the faces. None: the model "large", or for a camera "small".
        smooth: Also smooth pose, position and expression.

    Returns:
        An iterator over the frames. Each item holds the faces of one frame: `track` is the number of the person, the
        same in every frame of a shot; `image` is the number of the frame, from 0.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a video, or the camera delivers no image.

    A frame is tracked before the next one is read, so this also works live. `mfn animate` tracks whole clips by a
    slower and better tracker, `mfn.video.tracking.clip_tracker.track_clip`.
    """
    if not isinstance(video, (str, Path, int)):
        frames, model = iter(video), DEFAULT_MODEL
    else:
        frames, model = open_source(video), LIVE_MODEL if is_camera(video) else DEFAULT_MODEL
    return _tracked(frames, Predictor.load(model) if predictor is None else predictor, Tracker(smooth))


def _tracked(frames: Iterator[tuple[float, Image]], predictor: Predictor, tracker: Tracker) -> Iterator[Faces]:
    memory, cuts = FrameMemory(), CutWatch()
    for number, (time_s, image) in enumerate(frames):
        if cuts.is_cut(image):
            memory = FrameMemory()
            if cuts.is_sure():
                tracker.cut()
        faces = tracker.update(predictor(image, video=True, memory=memory), time_s)
        yield faces.replace(image=np.full(len(faces), number, np.int32))
