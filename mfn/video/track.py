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

    A frame is tracked before the next one is read, so this also works live. Only where a shot seems to end, the next frame is
    read first, to tell a cut from a flash of one frame. A camera has no cuts. `mfn animate` tracks whole clips by a slower and
    better tracker, `mfn.video.tracking.clip_tracker.track_clip`.
    """
    camera = isinstance(video, (str, Path, int)) and is_camera(video)
    if not isinstance(video, (str, Path, int)):
        frames, model = iter(video), DEFAULT_MODEL
    else:
        frames, model = open_source(video), LIVE_MODEL if camera else DEFAULT_MODEL
    predictor = Predictor.load(model) if predictor is None else predictor
    return _tracked(frames, predictor, Tracker(smooth), has_cuts=not camera)


def _tracked(frames: Iterator[tuple[float, Image]], predictor: Predictor, tracker: Tracker, *, has_cuts: bool) -> Iterator[Faces]:
    memory, cuts = FrameMemory(), CutWatch()
    number, frame, following = 0, next(frames, None), None
    while frame is not None:
        time_s, image = frame
        if cuts.is_cut(image):
            sure = has_cuts and cuts.is_sure()
            if sure:
                image = image.copy()  # callers may read the next frame into the same array
                following = next(frames, None)
            if following is None or not cuts.is_flash(following[1]):
                memory = FrameMemory()
                if sure:
                    tracker.cut()
        faces = tracker.update(predictor(image, video=True, memory=memory), time_s)
        yield faces.replace(image=np.full(len(faces), number, np.int32))
        number, frame, following = number + 1, following or next(frames, None), None
