"""What light, cameras and files do to a picture: colour, blur, noise, compression, borders. (H, W, 3) uint8 throughout."""

from __future__ import annotations

import numpy as np

from retarget.io.images import add_jpeg_artifacts

SIDE_LIGHT = 0.25  # of all pasted pictures


def patch_look(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A look of its own for one pasted picture: exposure, contrast, gamma, colour cast, sometimes light from aside or gray."""
    import cv2

    level = np.linspace(0, 1, 256)
    gamma, gain, lift = np.exp(rng.normal(0, 0.22)), np.exp(rng.normal(0, 0.12)), rng.normal(0, 0.05)
    cast = 1 + rng.normal(0, 0.05, 3)
    table = np.clip((level**gamma)[:, None] * gain * cast + lift, 0, 1)
    look = cv2.LUT(picture, (table * 255).astype(np.uint8)[None])
    if rng.random() < SIDE_LIGHT:
        look = side_light(look, rng)
    if rng.random() < 0.15:
        look = np.repeat(cv2.cvtColor(look, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    return look


def side_light(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brighter towards one side, darker towards the other: by up to 2.2 times at the borders."""
    height, width = picture.shape[:2]
    toward, most = rng.uniform(0, 2 * np.pi), np.log(2.2) * rng.uniform(0.3, 1)
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    ramp = np.exp(most * np.clip(np.cos(toward) * x[None] + np.sin(toward) * y[:, None], -1, 1)).astype(np.float32)
    return np.minimum(picture * ramp[..., None], 255).astype(np.uint8)


def blend_patch(
    canvas: np.ndarray, picture: np.ndarray, matrix: np.ndarray, window: np.ndarray, rng: np.random.Generator
) -> None:
    """Writes the part `window` (4,) of picture into canvas through `matrix` (2, 3): a look of its own; a hard, soft or oval border."""
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
    gain = np.sqrt(abs(np.linalg.det(a)))
    if gain < 0.6:  # a plain warp would alias: shrink by area first
        shrink = max(gain * 1.3, 0.05)
        w, h = max(int(round(part.shape[1] * shrink)), 1), max(int(round(part.shape[0] * shrink)), 1)
        ratio = np.array([w / part.shape[1], h / part.shape[0]])
        part = cv2.resize(part, (w, h), interpolation=cv2.INTER_AREA)
        a = a / ratio
    part = patch_look(part, rng)  # after the part was cut and shrunk: fewer px
    offset = matrix[:, :2] @ np.array([x1, y1]) + matrix[:, 2] - low
    # OpenCV counts from the centres of px, we from their edges
    warp = np.concatenate([a, (offset + a @ np.array([0.5, 0.5]) - 0.5)[:, None]], 1)
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    laid = cv2.warpAffine(part, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(_border(part.shape, rng), warp, size, flags=cv2.INTER_LINEAR)[..., None]
    there = canvas[low[1] : high[1], low[0] : high[0]]
    if mask.min() == 255:
        there[:] = laid
    else:
        there[:] = (there + (laid.astype(np.int16) - there) * (mask.astype(np.float32) / 255)).astype(np.uint8)


def _border(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint8 mask of a patch: a full rectangle, one that fades out, or an oval."""
    import cv2

    h, w = shape[:2]
    mask = np.full((h, w), 255, np.uint8)
    kind = rng.random()
    if kind < 0.45 or min(h, w) < 8:
        return mask
    if kind < 0.85:
        edge = max(int(min(h, w) * rng.uniform(0.02, 0.1)), 1)
        mask[:edge], mask[-edge:], mask[:, :edge], mask[:, -edge:] = 0, 0, 0, 0
        return cv2.blur(mask, (2 * edge + 1, 2 * edge + 1))
    mask[:] = 0
    cv2.ellipse(mask, (w // 2, h // 2), (int(w * 0.53), int(h * 0.53)), 0, 0, 360, 255, -1)
    return mask


def hide(there: np.ndarray, photo: np.ndarray, rng: np.random.Generator) -> None:
    """Lays an oval or oblong piece of a photo (H, W, 3) over up to a third of the picture `there` (H, W, 3), in place."""
    import cv2

    size = np.array(there.shape[1::-1])
    w, h = (rng.uniform(0.12, 0.55, 2) * size).astype(int) + 1
    x, y = rng.integers(-w // 3, size[0] - w // 2), rng.integers(-h // 3, size[1] - h // 2)
    mask = np.zeros((size[1], size[0]), np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(mask, (int(x + w / 2), int(y + h / 2)), (int(w / 2), int(h / 2)), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    else:
        mask[max(y, 0) : y + h, max(x, 0) : x + w] = 1
    np.copyto(there, photo, where=mask[..., None] > 0)  # also into a part of a larger picture, which OpenCV would copy


def scene_look(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What happens to the whole scene: blur of focus or motion, sensor noise, low resolution, JPEG, gray."""
    import cv2

    side = canvas.shape[0]
    if rng.random() < 0.12:
        canvas = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.4, 1.4)))
    elif rng.random() < 0.06:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), float(rng.uniform(0, 180)), 1)
        kernel = cv2.warpAffine(kernel, turn, (length, length))
        canvas = cv2.filter2D(canvas, -1, kernel / max(float(kernel.sum()), 1e-3))
    if rng.random() < 0.1:
        small = int(side / rng.uniform(1.2, 2.2))
        canvas = cv2.resize(cv2.resize(canvas, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if rng.random() < 0.25:
        noise = np.empty(canvas.shape, np.int16)
        cv2.randn(noise, 0, float(rng.uniform(2, 12)))
        canvas = np.clip(canvas + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        canvas = add_jpeg_artifacts(canvas, int(rng.integers(30, 90)))
    if rng.random() < 0.07:
        canvas = np.repeat(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    return canvas
