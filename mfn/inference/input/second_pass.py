"""What is tried with a picture that is hard: values stretched in dim or hazy light, and other views where no sure face was found.

A network trained on upright faces in good light misses faces that fill the frame, that lie on their side, or that are hardly lit. A
view is a copy of the picture in which such faces look more usual. Views are small, so that they take less time than the first pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mfn.inference.input.letterbox import MAX_ENLARGEMENT, Letterbox, letterbox_image, make_letterbox, unletterbox
from mfn.structures.cells import PAD_GRAY
from mfn.structures.faces import Faces
from retarget.io.images import Image

_MIN_RANGE = 96  # pictures whose values span less are stretched; of 255
_QUANTILES = (0.5, 99.5)  # percent of the values that the range leaves out below and above
_SAMPLES = 20_000  # values that the range is measured on
_CLOSE_UP = 0.5  # the shorter side of a picture with close-ups is shrunk to this times the largest face that the network finds
_CLOSE_UP_PADDING = 0.5  # gray on each side, relative to the picture
_TURNED_AREA_PX = 1 << 19


class View(NamedTuple):
    """A changed copy of a picture.

    Attributes:
        pixels: (h, w, 3) uint8 RGB.
        scale: px of the view for one px of the picture, in x and y, before it is turned.
        offset: x and y of the picture's first px in the view, before it is turned.
        size: Width and height of the view before it is turned.
        quarter_turns: How often the view is turned clockwise by 90 degrees.
    """

    pixels: Image
    scale: tuple[float, float]
    offset: tuple[int, int]
    size: tuple[int, int]
    quarter_turns: int = 0


def stretch_dim(picture: Image) -> Image:
    """Stretch the values of a dim or hazy picture (H, W, 3) uint8 to the whole range. Other pictures are returned unchanged."""
    import cv2

    height, width = picture.shape[:2]
    step = max(1, int((height * width / _SAMPLES) ** 0.5))
    low, high = np.percentile(picture[::step, ::step], _QUANTILES)
    if high - low >= _MIN_RANGE or high <= low:
        return picture
    table = np.clip(np.round((np.arange(256) - low) * 255 / (high - low)), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table), np.uint8)


def views(picture: Image, max_face_px: float, factor: float) -> Iterator[list[View]]:
    """Make the views of a picture in which no sure face was found, in the order in which they are tried.

    Args:
        picture: (H, W, 3) uint8 RGB.
        max_face_px: Largest face that the network finds, px of its input.
        factor: Scale at which the picture was read, px of the input for one px of the picture.

    Yields:
        Views of which the best is used: the picture small and surrounded by gray; then the picture turned three ways.
    """
    height, width = picture.shape[:2]
    scale = min(_CLOSE_UP * max_face_px / min(height, width), MAX_ENLARGEMENT)
    small = _scaled(picture, scale)
    pad = round(_CLOSE_UP_PADDING * min(small.shape[:2]))
    padded = np.full((small.shape[0] + 2 * pad, small.shape[1] + 2 * pad, 3), PAD_GRAY, np.uint8)
    padded[pad:-pad, pad:-pad] = small
    yield [_view(picture, small, padded, pad)]
    upright = _scaled(picture, min(factor, (_TURNED_AREA_PX / (height * width)) ** 0.5))
    turned = [np.ascontiguousarray(np.rot90(upright, -turns)) for turns in (1, 2, 3)]
    yield [_view(picture, upright, pixels, 0, turns) for turns, pixels in enumerate(turned, 1)]


def _scaled(picture: Image, factor: float) -> Image:
    box = make_letterbox(picture.shape[0], picture.shape[1], factor, multiple=1)
    return letterbox_image(picture, box)


def _view(picture: Image, scaled: Image, pixels: Image, pad: int, quarter_turns: int = 0) -> View:
    scale = (scaled.shape[1] / picture.shape[1], scaled.shape[0] / picture.shape[0])
    size = (scaled.shape[1] + 2 * pad, scaled.shape[0] + 2 * pad)
    return View(pixels, scale, (pad, pad), size, quarter_turns)


def faces_in_picture(faces: Faces, view: View) -> Faces:
    """Convert faces from px of a view to px of its picture."""
    width, height = view.size
    x1, y1, x2, y2 = faces.box.T
    u, v = faces.center.T
    # Clockwise, the point (x, y) of the picture comes to (height - y, x), (width - x, height - y) or (y, width - x).
    box, center, turn = {
        0: ((x1, y1, x2, y2), (u, v), ((1, 0), (0, 1))),
        1: ((y1, height - x2, y2, height - x1), (v, height - u), ((0, 1), (-1, 0))),
        2: ((width - x2, height - y2, width - x1, height - y1), (width - u, height - v), ((-1, 0), (0, -1))),
        3: ((width - y2, x1, width - y1, x2), (width - v, u), ((0, -1), (1, 0))),
    }[view.quarter_turns]
    rotation = np.eye(3, dtype=np.float32)
    rotation[:2, :2] = turn
    placed = faces.replace(box=np.stack(box, 1), center=np.stack(center, 1), rotation=rotation @ faces.rotation)
    return unletterbox(placed, Letterbox(height, width, view.scale, view.offset))
