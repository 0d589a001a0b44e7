"""Read animated images as clips: GIF, WebP, PNG and AVIF. Pillow decodes them all; FFmpeg and OpenCV only some."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mfn.video.readers.clip import Clip, check_size, no_image_error, plausible_fps
from retarget.io.image_decoder import from_pillow, open_header
from retarget.io.images import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_KINDS = ("GIF", "WebP", "PNG", "AVIF")
_PILLOW_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")
_SHORTEST_S, _DEFAULT_S = 0.011, 0.1  # viewers show frames that state less time for a tenth of a second

_log = logging.getLogger(__name__)


def is_animated_image(path: str | Path, kind: str | None) -> bool:
    """Return whether a file is an image with several frames.

    Args:
        path: The file.
        kind: Its `retarget.io.signatures.image_kind`.
    """
    if kind not in _KINDS:
        return False
    try:
        with Path(path).open("rb") as file:
            return bool(getattr(open_header(file, _PILLOW_FORMATS), "is_animated", False))
    except Exception:  # Pillow raises many types for damaged files
        return False


def probe(path: str | Path) -> Clip:
    """Return the size, mean frame rate and length of an animated image."""
    with Path(path).open("rb") as file:
        source = _open(file, path)
        lengths, width, height = list[float](), 0, 0
        for _ in _frames(source):
            if not lengths:
                height, width = from_pillow(source).shape[:2]  # as `read` turns it
            lengths.append(_length_s(source))
    if not lengths:
        raise no_image_error(path)
    return Clip(width, height, plausible_fps(round(len(lengths) / sum(lengths), 3)), len(lengths))


def read(path: str | Path) -> Iterator[tuple[float | None, Image]]:
    """Yield the time (s) and the image of each frame. Transparent pixels are white."""
    with Path(path).open("rb") as file:
        source = _open(file, path)
        time_s, count = 0.0, 0
        for _ in _frames(source):
            yield time_s, from_pillow(source)
            time_s, count = time_s + _length_s(source), count + 1
    missing = getattr(source, "n_frames", 1) - int(getattr(source, "default_image", False)) - count
    if missing > 0:
        _log.warning("%s: damaged; the first %d of %d frames could be read", path, count, count + missing)


def _open(file: IO[bytes], path: str | Path) -> PillowImage:
    try:
        source = open_header(file, _PILLOW_FORMATS)
    except Exception:
        raise ValueError(f"{path}: a damaged animated image") from None
    check_size(path, *source.size)
    return source


def _frames(source: PillowImage) -> Iterator[int]:
    """Decode one frame after the other in place, and yield its number. A damaged rest is left out."""
    first = int(getattr(source, "default_image", False))  # an animated PNG may have an image for old viewers
    for number in range(first, getattr(source, "n_frames", 1)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                source.seek(number)
                source.load()
        except Exception:  # Pillow raises many types for damaged files
            return
        yield number


def _length_s(source: PillowImage) -> float:
    """Return how long the present frame is shown, seconds."""
    length_s = float(source.info.get("duration", 0) or 0) / 1000
    return length_s if length_s >= _SHORTEST_S else _DEFAULT_S
