"""Read clips with OpenCV: the light install."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mfn.video.readers.clip import Clip, check_size, no_image_error, plausible_fps, with_square_pixels
from mfn.video.readers.mp4_boxes import display_orientation, lacks_index
from retarget.io.image_decoder import upright
from retarget.io.images import Image

_MARGIN_MS = 100  # OpenCV rounds time stamps
_MORE_KINDS = 'pip install ".[video]" reads more kinds'


def probe(path: str | Path) -> Clip:
    """Read what a video states about itself. See `mfn.video.reader.probe`."""
    import cv2

    capture = _open(path)
    try:
        fps = plausible_fps(capture.get(cv2.CAP_PROP_FPS))
        count = int(max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        first = next(_images(capture, path), None)
        if first is None:
            raise ValueError(f"{no_image_error(path)} ({_MORE_KINDS})")
        return Clip(first.shape[1], first.shape[0], fps, count, exact=count > 0)
    finally:
        capture.release()


def read(path: str | Path, start_s: float = 0.0) -> Iterator[tuple[float | None, Image]]:
    """Yield the time stamp (s) and the image of each frame, at the latest from `start_s` on."""
    import cv2

    capture = _open(path)
    try:
        for image in _images(capture, path, start_s):
            yield capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, image
    finally:
        capture.release()


def _images(capture: Any, path: str | Path, start_s: float = 0.0) -> Iterator[Image]:
    """Yield upright images (H, W, 3) uint8 RGB with square pixels.

    OpenCV turns images by the file's display matrix, but takes a mirror image for a turn of 180 degrees. So the matrix of
    an MP4 file is read and applied here.
    """
    import cv2

    orientation = display_orientation(path)
    if orientation is not None and not capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0):
        orientation = None
    numerator, denominator = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    aspect = numerator / denominator if denominator else 0.0
    turned_by_opencv = orientation is None and capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90
    aspect = 1 / aspect if turned_by_opencv and aspect else aspect
    while capture.grab():
        if capture.get(cv2.CAP_PROP_POS_MSEC) < 1000 * start_s - _MARGIN_MS:
            continue
        read, frame = capture.retrieve()
        if not read:
            return
        image = with_square_pixels(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8), aspect)
        yield upright(image, orientation or 1)


def _open(path: str | Path) -> Any:
    capture = open_capture(str(path))
    if not capture.isOpened():
        if lacks_index(path):
            raise ValueError(f"{path}: not a whole video: its end is missing, which says where the pictures are")
        raise ValueError(f"{path}: not a video that can be read, a damaged one, or sound without pictures ({_MORE_KINDS})")
    import cv2

    check_size(path, int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    return capture


def open_capture(source: str | int) -> Any:
    """Open OpenCV's `VideoCapture` of a file or of a camera, without OpenCV's own messages on stderr."""
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        return cv2.VideoCapture(source)
    finally:
        cv2.utils.logging.setLogLevel(level)
