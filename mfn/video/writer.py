"""Clips out, through PyAV (`pip install '.[video]'`): H.264 with the times the pictures were shown at, and the sound of
the clip they come from.

Pictures are written in pieces, each a file of its own that is whole when it is closed, and joined without coding them
again: so what is done is kept when the work is stopped.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mfn.video.reader import has_pyav, open_av, picture_start_s
from retarget.io.files import atomic_write
from retarget.io.images import Picture

_CLOCK = Fraction(1, 90000)
_QUALITY = "18"  # of x264: hardly to be told from the original
_KEPT_SOUND = ("aac", "mp3", "ac3", "eac3", "alac", "flac", "opus")  # an .mp4 takes it as it is
_BT709 = 1


def needs_pyav() -> None:
    """ImportError in one line unless videos can be written here. OpenCV would lose the sound and the times."""
    if not has_pyav():
        raise ImportError("writing a video needs PyAV: pip install '.[video]'")


class PieceWriter:
    """One piece of a video, pictures only. Use it in a `with`; what was added before an error is kept."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        """fps: about, for players that ask; the times count."""
        import av

        self._container = av.open(str(path), "w", format="mp4")
        stream = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = width + width % 2, height + height % 2  # H.264 in 4:2:0 has even sides
        stream.pix_fmt, stream.time_base = "yuv420p", _CLOCK
        context = stream.codec_context
        context.time_base = _CLOCK
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.options = {"crf": _QUALITY, "preset": "veryfast", "bf": "0"}  # no picture depends on a later one
        self._stream: Any = stream
        self._last = -1

    def add(self, time_s: float, picture: Picture) -> None:
        """(H, W, 3) uint8 RGB, to be shown from time_s on; times rise."""
        import av
        from av.video.reformatter import Colorspace

        if picture.shape[0] % 2 or picture.shape[1] % 2:
            picture = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), "edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        self._last = max(round(time_s / _CLOCK), self._last + 1)
        frame.pts, frame.time_base = self._last, _CLOCK
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """The file is whole after this."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def __enter__(self) -> PieceWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def join_pieces(pieces: Sequence[Path], target: Path, sound: Path | None = None) -> None:
    """One .mp4 of pieces that follow one another, whole or not at all. sound: the clip whose sound goes with it, as
    long as there are pictures."""
    atomic_write(target, lambda temporary: _join(pieces, temporary, sound))


def _join(pieces: Sequence[Path], target: Path, sound: Path | None) -> None:
    import av

    with ExitStack() as stack:
        sources = [stack.enter_context(av.open(str(piece))) for piece in pieces]
        out = stack.enter_context(av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}))
        film = out.add_stream_from_template(sources[0].streams.video[0])
        film.time_base = _CLOCK
        clip = stack.enter_context(open_av(sound)) if sound else None
        known = [song for song in (clip.streams.audio if clip else []) if song.codec_context is not None]
        songs = [_sound_packets(clip, out, song, sources[-1]) for song in known]
        # Merged by time, so that memory does not grow with the clip.
        for _, _, packet in heapq.merge(_picture_packets(sources, film), *songs, key=lambda item: item[0]):
            out.mux(packet)


def _picture_packets(sources: Sequence[Any], film: Any) -> Iterator[tuple[float, int, Any]]:
    for source in sources:
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = film
                yield float(packet.pts * packet.time_base), 0, packet


def _end_s(piece: Any) -> float:
    """When the last picture of a piece ends: its container says how long it is, not where it begins."""
    stream = piece.streams.video[0]
    return float(((stream.start_time or 0) + (stream.duration or 0)) * stream.time_base)


def _sound_packets(clip: Any, out: Any, song: Any, last_piece: Any) -> Iterator[tuple[float, int, Any]]:
    """The packets of one stream of sound, on the clock of the pictures, copied where an .mp4 takes them."""
    import av

    end_s, start_s = _end_s(last_piece), picture_start_s(clip)
    copied = song.codec_context.name in _KEPT_SOUND
    if copied:
        target = out.add_stream_from_template(song)
    else:
        target = out.add_stream("aac", rate=song.codec_context.sample_rate)
    return _copied(av.open(clip.name), song.index, target, (start_s, end_s), copied)


def _copied(clip: Any, index: int, target: Any, span: tuple[float, float], copied: bool) -> Iterator[tuple[float, int, Any]]:
    start_s, end_s = span
    with clip:
        song = clip.streams[index]
        for packet in clip.demux(song):
            if packet.dts is None and copied:
                continue
            at = None if packet.pts is None else float(packet.pts * packet.time_base) - start_s
            if at is not None and at >= end_s:
                break
            for piece in [packet] if copied else _encoded(packet, target, start_s):
                if copied:
                    shift = round(start_s / piece.time_base)
                    piece.pts, piece.dts = piece.pts - shift, piece.dts - shift
                    piece.stream = target
                yield max(at or 0.0, 0.0), 1 + index, piece
        if not copied:
            for piece in target.encode(None):
                yield end_s, 1 + index, piece


def _encoded(packet: Any, target: Any, start_s: float) -> Iterator[Any]:
    """The packet in the target's code; nothing of a damaged one."""
    import av

    try:
        frames = packet.decode()
    except av.FFmpegError:
        return
    for frame in frames:
        if frame.pts is not None:
            frame.pts -= round(start_s / frame.time_base)
        yield from target.encode(frame)
