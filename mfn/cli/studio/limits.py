"""What the page accepts: size and number of uploads, pixels, length of clips, people at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mfn.video.reader import probe

MEGABYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of the page. Each belongs to an option of `mfn studio` of the same name, such as --max-mb."""

    max_mb: float = 50.0
    """Size of one upload, MB."""
    max_megapixels: float = 50.0
    """Size of one photo or of one frame of a clip."""
    max_seconds: float = 120.0
    """Length of a clip."""
    max_files: int = 6
    """Files of one user at a time: a photo, a clip and characters."""
    max_users: int = 30
    """People who hold files at a time."""

    @property
    def max_bytes(self) -> int:
        """Size of one upload, bytes."""
        return int(self.max_mb * MEGABYTE)

    @property
    def max_pixels(self) -> int:
        """Pixels of one photo or frame."""
        return int(self.max_megapixels * 1e6)


def check_upload(path: Path, limits: Limits) -> None:
    """Raise ValueError if an uploaded file is empty or too large."""
    size = path.stat().st_size
    if not size:
        raise ValueError(f"{path.name}: empty file")
    if size > limits.max_bytes:
        raise ValueError(f"{path.name}: {size / MEGABYTE:.1f} MB is more than the limit of {limits.max_mb:g} MB (see --max-mb)")


def check_clip(path: Path, start_s: float, end_s: float | None, limits: Limits) -> None:
    """Raise ValueError if a part of a clip is too long, or its frames are too large.

    Args:
        path: The clip.
        start_s: Where the part begins, seconds.
        end_s: Where it ends, seconds. None: at the end of the clip.
        limits: What is accepted.
    """
    clip = probe(path)
    if clip.width * clip.height > limits.max_pixels:
        size = f"{clip.width} x {clip.height} px"
        raise ValueError(f"{path.name}: {size} is more than the limit of {limits.max_megapixels:g} megapixels (see --max-megapixels)")
    end_s = clip.duration_s if end_s is None else min(end_s, clip.duration_s or end_s)
    if end_s - start_s > limits.max_seconds + 1:  # the length that a file states is not exact
        length = f"{end_s - start_s:.0f} s is more than the limit of {limits.max_seconds:g} s"
        raise ValueError(f"{path.name}: {length}; choose a shorter part under More (or see --max-seconds)")
