"""Write clips through PyAV (`pip install ".[video]"`): H.264 with the given time stamps, and the sound of a source clip.

Images are written in segments. Each segment is a complete file, and segments are joined without encoding again. So
what is done is kept when the work is stopped.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mfn.video.reader import has_pyav
from mfn.video.readers.pyav import first_image_time_s, open_av
from retarget.io.files import atomic_write
from retarget.io.images import Image

_TIME_BASE = Fraction(1, 90000)
_CRF = "18"  # x264's constant rate factor: visually lossless
_COPIED_AUDIO_CODECS = ("aac", "mp3", "ac3", "eac3", "alac", "flac", "opus")  # an .mp4 file can hold these
_MAX_EARLY_SOUND_S = 0.05  # an encoder may begin so much early; earlier sound belongs to a part that was left out
_MAX_OTHER_RATE_HZ = 48000  # of sound whose own rate AAC does not know; no ear needs more
_BT709 = 1  # FFmpeg's number of this color space

_log = logging.getLogger(__name__)


class _Packet(NamedTuple):
    """An encoded packet, its time (s) and the number of its output stream. Packets are merged by time."""

    time_s: float
    stream: int
    packet: Any


def require_pyav() -> None:
    """Raise ImportError unless PyAV is installed. OpenCV cannot write sound or time stamps."""
    if not has_pyav():
        raise ImportError('writing a video needs PyAV: pip install ".[video]"')


class SegmentWriter:
    """Write one segment of a video, images only. Use it in a `with` statement.

    Images that were added before an error are kept.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        """Open the segment.

        Args:
            path: .mp4 file to write.
            width: Width of the images, px.
            height: Height of the images, px.
            fps: Nominal frame rate, for players that ask for it. The time stamps of the images are decisive.
        """
        import av

        self._container = av.open(str(path), "w", format="mp4")
        stream = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = width + width % 2, height + height % 2  # H.264 in 4:2:0 needs even sides
        stream.pix_fmt, stream.time_base = "yuv420p", _TIME_BASE
        context = stream.codec_context
        context.time_base = _TIME_BASE
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.options = {"crf": _CRF, "preset": "veryfast", "bf": "0"}  # no B-frames: segments can be joined
        self._stream: Any = stream
        self._last_pts = -1

    def add(self, time_s: float, image: Image) -> None:
        """Append an image.

        Args:
            time_s: When it is shown, seconds. Times have to rise from call to call.
            image: (H, W, 3) uint8 RGB.
        """
        import av
        from av.video.reformatter import Colorspace

        if image.shape[0] % 2 or image.shape[1] % 2:
            image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), "edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        self._last_pts = max(round(time_s / _TIME_BASE), self._last_pts + 1)
        frame.pts, frame.time_base = self._last_pts, _TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Complete the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def concat_segments(segments: Sequence[Path], target: Path, sound: Path | None = None, sound_start_s: float = 0.0) -> None:
    """Join segments into one .mp4 file, written whole or not at all.

    Args:
        segments: Files of `SegmentWriter`, in their order.
        target: File to write.
        sound: Clip whose sound is added, up to the end of the last image. None: no sound. Sound that cannot be written is
            left out, and reported as a `logging` warning: the images are the work of hours.
        sound_start_s: Time of the first image in that clip, seconds.
    """
    import av

    try:
        atomic_write(target, lambda temporary: _concat(segments, temporary, sound, sound_start_s))
    except (av.FFmpegError, ValueError) as error:
        if sound is None:
            raise
        atomic_write(target, lambda temporary: _concat(segments, temporary, None, 0.0))
        _log.warning("%s: its sound could not be written, so the video has none (%s)", sound, error)


def _concat(segments: Sequence[Path], target: Path, sound: Path | None, sound_start_s: float) -> None:
    import av

    with ExitStack() as stack:
        sources = [stack.enter_context(av.open(str(segment))) for segment in segments]
        out = stack.enter_context(av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}))
        video = out.add_stream_from_template(sources[0].streams.video[0])
        video.time_base = _TIME_BASE
        clip = stack.enter_context(open_av(sound)) if sound else None
        known = [audio for audio in (clip.streams.audio if clip else []) if audio.codec_context is not None]
        audio_packets = [_audio_packets(clip, out, audio, sound_start_s, _end_s(sources[-1])) for audio in known]
        # Merging by time keeps memory constant, however long the clip is.
        for item in heapq.merge(_video_packets(sources, video), *audio_packets, key=lambda item: item.time_s):
            out.mux(item.packet)


def _video_packets(sources: Sequence[Any], video: Any) -> Iterator[_Packet]:
    """Yield the packets of all segments."""
    for source in sources:
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                yield _Packet(float(packet.pts * packet.time_base), 0, packet)


def _end_s(segment: Any) -> float:
    """Return when the last image of a segment ends. The container itself states a duration, but not the start."""
    stream = segment.streams.video[0]
    return float(((stream.start_time or 0) + (stream.duration or 0)) * stream.time_base)


def _audio_packets(clip: Any, out: Any, audio: Any, sound_start_s: float, end_s: float) -> Iterator[_Packet]:
    """Return the packets of one audio stream, on the clock of the images; copied where an .mp4 file can hold them."""
    import av

    start_s = first_image_time_s(clip) + sound_start_s
    if audio.codec_context.name in _COPIED_AUDIO_CODECS:
        return _copied(av.open(clip.name), audio.index, out.add_stream_from_template(audio), start_s, end_s)
    target = out.add_stream("aac", rate=_aac_rate(audio.codec_context.sample_rate))
    return _encoded(av.open(clip.name), audio.index, target, start_s, end_s)


def _aac_rate(rate_hz: int) -> int:
    """Return the samples a second that sound of `rate_hz` is coded with: the same, or the next rate that AAC knows, at most 48 kHz."""
    import av

    known = sorted(av.codec.Codec("aac", "w").audio_rates or [48000])
    return rate_hz if rate_hz in known else next((rate for rate in known if rate_hz < rate <= _MAX_OTHER_RATE_HZ), _MAX_OTHER_RATE_HZ)


def _copied(clip: Any, index: int, target: Any, start_s: float, end_s: float) -> Iterator[_Packet]:
    """Yield the packets of an audio stream as they are, shifted by the time of the first image."""
    with clip:
        for packet in clip.demux(clip.streams[index]):
            if packet.dts is None:
                continue
            pts = packet.dts if packet.pts is None else packet.pts  # damaged files lack some; in sound both are equal
            time_s = float(pts * packet.time_base) - start_s
            if time_s >= end_s:
                break
            if time_s < -_MAX_EARLY_SOUND_S:
                continue
            shift = round(start_s / packet.time_base)
            packet.pts, packet.dts = pts - shift, packet.dts - shift
            packet.stream = target
            yield _Packet(max(time_s, 0.0), 1 + index, packet)


def _encoded(clip: Any, index: int, target: Any, start_s: float, end_s: float) -> Iterator[_Packet]:
    """Yield the packets of an audio stream in the codec of `target`. Damaged packets are left out."""
    import av

    with clip:
        for packet in clip.demux(clip.streams[index]):
            time_s = 0.0 if packet.pts is None else float(packet.pts * packet.time_base) - start_s
            if time_s >= end_s:
                break
            if time_s < -_MAX_EARLY_SOUND_S:
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            for frame in frames:
                if frame.pts is not None:
                    frame.pts -= round(start_s / frame.time_base)
                for encoded in target.encode(frame):
                    yield _Packet(max(time_s, 0.0), 1 + index, encoded)
        for encoded in target.encode(None):
            yield _Packet(end_s, 1 + index, encoded)
