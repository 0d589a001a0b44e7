"""Read clips with PyAV: all that FFmpeg reads."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mfn.video.readers.clip import (
    Clip,
    check_size,
    no_image_error,
    orientation_of_matrix,
    plausible_fps,
    square_pixel_size,
    with_square_pixels,
)
from mfn.video.readers.mp4_boxes import lacks_index
from retarget.io.image_decoder import upright
from retarget.io.images import Image

_MAX_DAMAGED_PACKETS = 1000  # damaged packets in a row after which reading ends
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height

_log = logging.getLogger(__name__)


def probe(path: str | Path) -> Clip:
    """Read what a video states about itself. See `mfn.video.reader.probe`."""
    with open_av(path) as container:
        stream = _video_streams(container)[0]
        first = next(_decode(container, path), None)
        if first is None:
            raise no_image_error(path)
        fps = plausible_fps(float(stream.average_rate or stream.guessed_rate or 0))
        length_s = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
        count = stream.frames or max(0, round(length_s * fps))
        width, height = square_pixel_size(first.width, first.height, _pixel_aspect(stream))
        if _orientation(first) in _TURNED:
            width, height = height, width
        exact = bool(stream.frames or stream.duration)
        return Clip(width, height, fps, count, bool(container.streams.audio), exact)


def read(path: str | Path, start_s: float = 0.0) -> Iterator[tuple[float | None, Image]]:
    """Yield the time stamp (s) and the image of each frame, at the latest from `start_s` on."""
    if start_s > 0:
        frames = _frames(path, start_s)
        first = next(frames, None)
        if first is not None and first[0] is not None and first[0] <= start_s:
            yield first
            yield from frames
            return
    yield from _frames(path, 0.0)  # some formats do not find the keyframe before a time: read from the beginning


def _frames(path: str | Path, seek_s: float) -> Iterator[tuple[float | None, Image]]:
    """Yield times and images from the beginning, or from the keyframe before `seek_s` on if the format finds it."""
    import av

    with open_av(path) as container:
        stream, first_s = _video_streams(container)[0], first_image_time_s(container)
        if seek_s > 0:
            try:
                container.seek(int((seek_s + first_s) / stream.time_base), stream=stream)
            except (av.FFmpegError, OSError):
                return
        for frame in _decode(container, path):
            time_s = None if frame.pts is None else float(frame.pts * frame.time_base) - first_s
            image = with_square_pixels(frame.to_ndarray(format="rgb24"), _pixel_aspect(stream))
            yield time_s, upright(image, _orientation(frame))


def open_av(path: str | Path) -> Any:
    """Open a video with PyAV.

    Args:
        path: Video file.

    Returns:
        PyAV's container, which holds at least one video stream that can be decoded.

    Raises:
        ValueError: The file is damaged or not a video.
    """
    import av

    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        if lacks_index(path):
            raise ValueError(f"{path}: not a whole video: its end is missing, which says where the pictures are") from None
        raise ValueError(f"{path}: not a video that can be read, or a damaged one ({_reason(error)})") from None
    streams = _video_streams(container)
    if not streams:
        sound = bool(container.streams.audio)
        container.close()
        raise ValueError(f"{path}: {'sound without pictures' if sound else 'no pictures in it'} (expected a video)")
    if streams[0].codec_context is None:
        container.close()
        raise ValueError(f"{path}: PyAV does not know the codec of its images")
    return container


def first_image_time_s(container: Any) -> float:
    """Return the time stamp of the first image, seconds, on the clock of the file."""
    stream = _video_streams(container)[0]
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0


def _video_streams(container: Any) -> list[Any]:
    """Return the video streams. The cover image of a song is stored as a video stream too, and is left out."""
    import av

    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


def _pixel_aspect(stream: Any) -> float:
    """Return the width of a stored pixel over its height; 0 where the file does not state it."""
    return float(stream.sample_aspect_ratio or 0)


def _orientation(frame: Any) -> int:
    """Return the EXIF orientation, 1 to 8, of a frame. PyAV's `rotation` does not know mirror images."""
    for item in frame.side_data:
        if item.type.name == "DISPLAYMATRIX":
            return orientation_of_matrix(np.frombuffer(bytes(item), np.int32, 9))
    return 1


def _decode(container: Any, path: str | Path) -> Iterator[Any]:
    """Yield frames in the order of presentation. Packets that cannot be decoded are skipped."""
    import av

    stream = _video_streams(container)[0]
    stream.thread_type = "AUTO"
    damaged, in_a_row = 0, 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            frames = packet.decode()
            in_a_row = 0
        except StopIteration:
            break
        except (av.FFmpegError, OSError):
            damaged, in_a_row = damaged + 1, in_a_row + 1
            if in_a_row > _MAX_DAMAGED_PACKETS:
                break
            continue
        for frame in frames:
            check_size(path, frame.width, frame.height)
            yield frame
    if damaged:
        _log.warning("%s: damaged; %d packets could not be decoded and were left out", path, damaged)
