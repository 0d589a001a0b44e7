"""Letterbox: how a picture is scaled and padded into the input of the network, and the way back.

Letters: H W size of the network input in px (multiples of `INPUT_MULTIPLE`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.cells import INPUT_MULTIPLE, PAD_GRAY
from mfn.structures.faces import Faces
from retarget.io.images import Image

MAX_ENLARGEMENT = 2.0  # enlarging a small picture further costs time and adds nothing


class Letterbox(NamedTuple):
    """The place of a picture in the network input: input px = picture px * factor + offset, in x and y.

    Attributes:
        height, width: Size of the network input in px.
        factor: Scale in x and y.
        offset: Padding at the left and at the top in px.
    """

    height: int
    width: int
    factor: tuple[float, float]
    offset: tuple[int, int]


def make_letterbox(
    height: int, width: int, factor: float, multiple: int = INPUT_MULTIPLE, fixed_size: tuple[int, int] | None = None
) -> Letterbox:
    """Choose the letterbox of a picture at a scale.

    Args:
        height, width: Size of the picture in px.
        factor: px of the network input for one px of the picture.
        multiple: Both sides of the network input are multiples of this, in px.
        fixed_size: Width and height of the network input in px, for a network of one size; the scaled picture fits into it.

    Returns:
        The letterbox, with the scaled picture in its middle. The scale in x and y is rounded to whole px.
    """
    inner = [max(1, round(side * factor)) for side in (width, height)]
    outer = fixed_size or [-(-side // multiple) * multiple for side in inner]
    inner = [min(sides) for sides in zip(inner, outer, strict=True)]
    offset = ((outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2)
    return Letterbox(outer[1], outer[0], (inner[0] / width, inner[1] / height), offset)


def letterbox_image(picture: Image, box: Letterbox, out: Image | None = None, smooth: bool = False) -> Image:
    """Scale and pad a picture into the network input.

    Args:
        picture: (h, w, 3) uint8 RGB.
        box: The letterbox of a picture of this size.
        out: (H, W, 3) uint8 to write into, or None for a new array.
        smooth: Enlarge by cubic instead of linear interpolation.

    Returns:
        (H, W, 3) uint8: the picture, shrunk by area or enlarged, padded with `PAD_GRAY`.
    """
    import cv2

    if out is None:
        out = np.empty((box.height, box.width, 3), np.uint8)
    size = (round(picture.shape[1] * box.factor[0]), round(picture.shape[0] * box.factor[1]))
    left, top = box.offset
    out[:top], out[top + size[1] :] = PAD_GRAY, PAD_GRAY
    out[top : top + size[1], :left], out[top : top + size[1], left + size[0] :] = PAD_GRAY, PAD_GRAY
    inside = out[top : top + size[1], left : left + size[0]]
    if box.factor[0] < 1:
        _shrink(picture, size, inside)
    else:
        cv2.resize(picture, size, dst=inside, interpolation=cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR)
    return out


def _shrink(picture: Image, size: tuple[int, int], out: NDArray[np.uint8]) -> None:
    """Shrink a picture by area, or nearly, into `out`.

    OpenCV's INTER_AREA is fast where 2 x 2 px become one, and six times slower elsewhere: halve first, as often as possible.
    """
    import cv2

    while not (picture.shape[0] % 2 or picture.shape[1] % 2) and picture.shape[1] >= 2 * size[0]:
        picture = cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)
    ratio = size[0] / picture.shape[1]
    if ratio >= 2 / 3:  # linear averages two px, of at most one and a half that fall on each output px
        cv2.resize(picture, size, dst=out, interpolation=cv2.INTER_LINEAR)
        return
    if ratio > 0.5:
        picture = cv2.resize(picture, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)
    cv2.resize(picture, size, dst=out, interpolation=cv2.INTER_AREA)


def unletterbox(faces: Faces, box: Letterbox) -> Faces:
    """Convert faces from px of the network input to px of the picture that `box` holds."""
    factor, offset = np.array(box.factor, np.float32), np.array(box.offset, np.float32)
    return faces.replace(
        box=(faces.box - np.tile(offset, 2)) / np.tile(factor, 2),
        center=(faces.center - offset) / factor,
        scale=faces.scale / np.sqrt(factor.prod()),
    )
