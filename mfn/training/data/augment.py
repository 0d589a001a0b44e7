"""Augmentation of pictures: what light, cameras and files do to them. Pictures are (H, W, 3) uint8 RGB.

The chances and ranges in these functions are the augmentation's settings. Labels stay valid, because nothing here moves a face.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retarget.io.images import Image, add_jpeg_artifacts

DIRECTIONAL_LIGHT_SHARE = 0.25  # share of the patches
MAX_LIGHT_RATIO = 2.2  # brightest border against the middle, and the middle against the darkest border
MIN_BLEND_PX = 8  # smaller patches have a hard border


def jitter_patch(picture: Image, rng: np.random.Generator) -> Image:
    """Change exposure, contrast, gamma and color cast of one picture; sometimes add directional light, or make it gray."""
    import cv2

    level = np.linspace(0, 1, 256)
    gamma, gain, lift = np.exp(rng.normal(0, 0.22)), np.exp(rng.normal(0, 0.12)), rng.normal(0, 0.05)
    cast = 1 + rng.normal(0, 0.05, 3)
    table = np.clip((level**gamma)[:, None] * gain * cast + lift, 0, 1)
    jittered: Image = cv2.LUT(picture, (table * 255).astype(np.uint8)[None])
    if rng.random() < DIRECTIONAL_LIGHT_SHARE:
        jittered = directional_light(jittered, rng)
    return to_gray(jittered) if rng.random() < 0.15 else jittered


def directional_light(picture: Image, rng: np.random.Generator) -> Image:
    """Make a picture brighter towards one side and darker towards the other."""
    height, width = picture.shape[:2]
    direction, strength = rng.uniform(0, 2 * np.pi), np.log(MAX_LIGHT_RATIO) * rng.uniform(0.3, 1)
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    along = np.clip(np.cos(direction) * x[None] + np.sin(direction) * y[:, None], -1, 1)
    factor = np.exp(strength * along).astype(np.float32)
    return np.asarray(np.minimum(picture * factor[..., None], 255).astype(np.uint8))


def to_gray(picture: Image) -> Image:
    """Return a picture without color, still with three channels."""
    import cv2

    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)


def paste_patch(
    canvas: Image, picture: Image, matrix: NDArray[np.floating], window: NDArray[np.floating], rng: np.random.Generator
) -> None:
    """Paste a part of a picture into a canvas, in place, with its own jitter and a hard, soft or oval border.

    Args:
        canvas: (S, S, 3) uint8 RGB.
        picture: (H, W, 3) uint8 RGB.
        matrix: (2, 3) from px of the picture to px of the canvas, counted from their edges.
        window: (4,) x1 y1 x2 y2, the part of the picture in px.
        rng: Source of randomness.
    """
    import cv2

    x1, y1 = np.floor(window[:2]).astype(int)
    x2, y2 = np.ceil(window[2:]).astype(int)
    part = picture[y1:y2, x1:x2]
    a = matrix[:, :2]
    corners = np.array([[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) @ a.T + matrix[:, 2]
    low = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int), canvas.shape[1::-1])
    if (high <= low).any():
        return
    scale = np.sqrt(abs(np.linalg.det(a)))
    if scale < 0.6:  # shrink by area first, because warping alone would alias
        shrink = max(scale * 1.3, 0.05)
        w, h = max(int(round(part.shape[1] * shrink)), 1), max(int(round(part.shape[0] * shrink)), 1)
        ratio = np.array([w / part.shape[1], h / part.shape[0]])
        part = cv2.resize(part, (w, h), interpolation=cv2.INTER_AREA)
        a = a / ratio
    part = jitter_patch(part, rng)  # after shrinking, because there are fewer pixels
    offset = matrix[:, :2] @ np.array([x1, y1]) + matrix[:, 2] - low
    # OpenCV counts from the centers of pixels, we count from their edges.
    warp = np.concatenate([a, (offset + a @ np.array([0.5, 0.5]) - 0.5)[:, None]], 1)
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    pasted = cv2.warpAffine(part, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(_blend_mask(part.shape, rng), warp, size, flags=cv2.INTER_LINEAR)[..., None]
    target = canvas[low[1] : high[1], low[0] : high[0]]
    if mask.min() == 255:
        target[:] = pasted
    else:
        target[:] = (target + (pasted.astype(np.int16) - target) * (mask.astype(np.float32) / 255)).astype(np.uint8)


def _blend_mask(shape: Sequence[int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the mask (H, W) of a patch: a full rectangle, one that fades at the border, or an oval."""
    import cv2

    h, w = shape[:2]
    mask = np.full((h, w), 255, np.uint8)
    kind = rng.random()
    if kind < 0.45 or min(h, w) < MIN_BLEND_PX:
        return mask
    if kind < 0.85:
        edge = max(int(min(h, w) * rng.uniform(0.02, 0.1)), 1)
        mask[:edge], mask[-edge:], mask[:, :edge], mask[:, -edge:] = 0, 0, 0, 0
        return np.asarray(cv2.blur(mask, (2 * edge + 1, 2 * edge + 1)))
    mask[:] = 0
    cv2.ellipse(mask, (w // 2, h // 2), (int(w * 0.53), int(h * 0.53)), 0, 0, 360, 255, -1)
    return mask


def occlude(target: Image, photo: Image, rng: np.random.Generator) -> None:
    """Paste an oval or rectangular piece of a photo over up to a third of a picture, in place.

    Args:
        target: (H, W, 3) uint8 RGB; it may be a view into a larger picture.
        photo: (H, W, 3) uint8 RGB.
        rng: Source of randomness.
    """
    import cv2

    size = np.array(target.shape[1::-1])
    w, h = (rng.uniform(0.12, 0.55, 2) * size).astype(int) + 1
    x, y = rng.integers(-w // 3, size[0] - w // 2), rng.integers(-h // 3, size[1] - h // 2)
    mask = np.zeros((size[1], size[0]), np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(mask, (int(x + w / 2), int(y + h / 2)), (int(w / 2), int(h / 2)), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    else:
        mask[max(y, 0) : y + h, max(x, 0) : x + w] = 1
    np.copyto(target, photo, where=mask[..., None] > 0)  # OpenCV would write into a copy of the view


def jitter_scene(canvas: Image, rng: np.random.Generator) -> Image:
    """Degrade a whole scene: defocus or motion blur, low resolution, sensor noise, JPEG compression, gray."""
    import cv2

    side = canvas.shape[0]
    if rng.random() < 0.12:
        canvas = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.4, 1.4)))
    elif rng.random() < 0.06:
        canvas = _motion_blur(canvas, rng)
    if rng.random() < 0.1:
        small = int(side / rng.uniform(1.2, 2.2))
        canvas = cv2.resize(cv2.resize(canvas, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if rng.random() < 0.25:
        noise = np.empty(canvas.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))  # OpenCV has a generator of its own; without a seed, validation would change
        cv2.randn(noise, 0, float(rng.uniform(2, 12)))
        canvas = np.clip(canvas + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        canvas = add_jpeg_artifacts(canvas, int(rng.integers(30, 90)))
    return to_gray(canvas) if rng.random() < 0.07 else canvas


def _motion_blur(picture: Image, rng: np.random.Generator) -> Image:
    """Blur a picture along a line of 3 to 7 px in a random direction."""
    import cv2

    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    rotation = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), float(rng.uniform(0, 180)), 1)
    kernel = cv2.warpAffine(kernel, rotation, (length, length))
    return np.asarray(cv2.filter2D(picture, -1, kernel / max(float(kernel.sum()), 1e-3)))


def lower_resolution(crop: Image, rng: np.random.Generator) -> Image:
    """Shrink one crop in three, down to a face of 20 px, and enlarge it again, as if it were seen from farther away."""
    import cv2

    if rng.random() > 0.33:
        return crop
    small = int(crop.shape[0] * np.exp(rng.uniform(np.log(0.22), np.log(0.9))))
    method = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    reduced = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, crop.shape[1::-1], interpolation=method))
