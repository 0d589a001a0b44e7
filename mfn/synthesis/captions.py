"""Stack images with captions, for demonstrations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retarget.io.images import Image

_GAP_PX = 4
_TEXT_HEIGHT = 0.036  # of the height of an image
_MARGIN = 0.7  # of the height of the text
_DARKEN = 0.35  # brightness behind the text


def stack_with_captions(images: Sequence[tuple[Image, str]]) -> Image:
    """Put images of equal width below each other.

    Args:
        images: Pairs of an image (H, W, 3) uint8 RGB and its caption.

    Returns:
        One image, W px wide, with white gaps.
    """
    gap = np.full((_GAP_PX, images[0][0].shape[1], 3), 255, np.uint8)
    parts: list[Image] = []
    for image, text in images:
        parts += [gap, draw_caption(image, text)]
    return np.concatenate(parts[1:])


def draw_caption(image: Image, text: str) -> Image:
    """Return a copy of an image with a text in its upper left corner, white on a dark field."""
    import PIL.Image
    from PIL import ImageDraw, ImageFont

    size = max(10, round(image.shape[0] * _TEXT_HEIGHT))
    font = ImageFont.load_default(size)
    margin = round(_MARGIN * size)
    left, top, right, bottom = (int(v) for v in font.getbbox(text))
    field = image[margin : 3 * margin + bottom - top, margin : 3 * margin + right - left]
    out = image.copy()
    out[margin : 3 * margin + bottom - top, margin : 3 * margin + right - left] = (field * _DARKEN).astype(np.uint8)
    canvas = PIL.Image.fromarray(out)
    ImageDraw.Draw(canvas).text((2 * margin - left, 2 * margin - top), text, fill="white", font=font)
    return np.array(canvas)
