"""Drawing of what surrounds a head: shoulders, long hair, glasses, a cap's brim, hands and objects before the face.

Each function draws with OpenCV into an image (H, W, 3) uint8 RGB, in place. `HeadPlacement` holds where the head is. Lengths are meters in
the head frame, colors linear light in [0, 1].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]
_SUBPIXEL_BITS = 4  # OpenCV gets coordinates in 1 / 16 px


class HeadPlacement(NamedTuple):
    """Where a head is in the image, and the light there.

    Attributes:
        landmarks: (68, 3) meters, head frame, with this head's identity and expression.
        rotation: (3, 3) head to camera.
        scale: px per meter.
        center: (2,) px, where the head's origin projects.
        white: (3,) linear light of a white surface.
    """

    landmarks: Floats
    rotation: Floats
    scale: float
    center: Floats
    white: Floats

    def to_px(self, points: Floats) -> Floats:
        """Project points (..., 3), meters, head frame, to (..., 3) px; smaller z is nearer."""
        out: Floats = np.asarray(points, np.float32) @ self.rotation.T * self.scale
        out[..., :2] += self.center
        return out


def _to_srgb(linear: Floats) -> Floats:
    """Convert a linear color (3,) to sRGB in 0 to 255."""
    return np.asarray(255 * np.clip(np.asarray(linear, np.float32), 0, 1) ** np.float32(1 / 2.2))


def draw_shoulders(image: Bytes, head: HeadPlacement, shirt: Floats, rng: np.random.Generator) -> None:
    """Draw a shirt with shoulders below the head.

    Args:
        image: (H, W, 3) uint8 RGB, changed in place.
        head: where the head is.
        shirt: (3,) color.
        rng: source of random numbers.
    """
    neck = head.to_px(np.array([0.0, -0.2, -0.07]))[:2]
    half, drop = rng.uniform(0.17, 0.24), rng.uniform(0.02, 0.07)
    left = np.array([[-0.05, -0.03], [-0.1, 0], [-half, drop], [-half - 0.03, 0.5]])  # meters, y down
    outline = np.concatenate([left, left[::-1] * [-1, 1]])
    _fill(image, neck + outline * head.scale, shirt * head.white * 0.8)


def draw_long_hair(image: Bytes, head: HeadPlacement, hair: Floats, length: float, rng: np.random.Generator) -> None:
    """Draw hair that falls behind the shoulders. length: in (0, 1]. The other arguments are those of `draw_shoulders`."""
    import cv2

    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    half_width, low = rng.uniform(0.085, 0.115), -0.05 - 0.2 * length
    rings = [(0.09, 0.6, 0.0), (0.03, 0.95, 0.0), (-0.06, 1.0, 0.0), (low, rng.uniform(0.8, 1.2), -0.01)]  # y, width, z
    x, z = half_width * np.cos(angle), 0.09 * np.sin(angle)
    cloud = np.concatenate([np.stack([k * x, np.full(12, y), -0.075 + dz + k * z], 1) for y, k, dz in rings])
    cloud[:, 2] = np.minimum(cloud[:, 2], 0.0)
    hull = cv2.convexHull(head.to_px(cloud)[:, :2].astype(np.float32))[:, 0]
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [_subpixel(hull)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    streaks = rng.normal(1, 0.3, (6, max(image.shape[1] // 2, 2))).astype(np.float32)
    rows = cv2.resize(streaks, image.shape[1::-1])
    color = _to_srgb(np.clip(hair * head.white * 0.55, 0.005, 1))[None, None]
    strands = color * rows[..., None].clip(0.4, 1.8) ** 0.45
    share = mask[..., None].astype(np.float32) / 255
    image[:] = (image + (strands - image) * share).clip(0, 255)


def draw_front_hair(image: Bytes, head: HeadPlacement, hair: Floats, depth: Floats, rng: np.random.Generator) -> None:
    """Draw strands of hair before the ears. depth: (H, W) px, depth of the rendered head, infinite around it."""
    for side in (-1, 1):
        x, low = rng.uniform(0.072, 0.086), rng.uniform(-0.2, -0.1)
        line = np.array([[x - 0.008, 0.05, -0.02], [x, 0.0, -0.015], [x, -0.07, -0.01], [x - 0.012, low, 0.0],
                         [x + 0.01, low, -0.05], [x + 0.012, -0.05, -0.06], [x + 0.006, 0.05, -0.05]])  # fmt: skip
        points = head.to_px(line * [side, 1, 1])
        in_front = depth > points[:, 2].mean() - 0.012 * head.scale
        _fill(image, points[:, :2], hair * head.white * rng.uniform(0.4, 0.9), 0.97, in_front)


def draw_brim(image: Bytes, head: HeadPlacement, cloth: Floats, rng: np.random.Generator) -> None:
    """Draw the brim of a cap over the forehead. cloth: (3,) color."""
    y = head.landmarks[[19, 24], 1].mean() + rng.uniform(0.018, 0.03)
    angle, length, droop = np.linspace(0, np.pi, 15), rng.uniform(0.06, 0.085), rng.uniform(-0.012, 0.012)
    arc = np.stack([0.07 * np.cos(angle), y + droop * np.sin(angle), 0.005 + (0.03 + length) * np.sin(angle)], 1)
    seen_from_above = head.rotation[1, 2] > 0
    back = arc[::-1] * [1, 0, 0.25] + [0, y + 0.006, 0.012]
    outline = head.to_px(np.concatenate([arc, back]))[:, :2]
    _fill(image, outline, cloth * head.white * (0.75 if seen_from_above else 0.4))


def draw_glasses(image: Bytes, head: HeadPlacement, depth: Floats, rng: np.random.Generator) -> None:
    """Draw glasses of a random shape, clear or dark. depth: (H, W) px of the rendered head, which hides parts of the frame."""
    eyes = [head.landmarks[42:48].mean(0), head.landmarks[36:42].mean(0)]  # the subject's left eye first
    front_z = head.landmarks[27, 2] + 0.004
    width, height, power = rng.uniform(0.021, 0.029), rng.uniform(0.013, 0.024), rng.uniform(0.45, 1.0)
    dark = rng.random() < 0.35
    glass = rng.uniform(0.005, 0.05, 3) if dark else np.array([0.8, 0.85, 0.9])
    frame = rng.uniform(0.005, 0.08, 3) if rng.random() < 0.7 else rng.uniform(0.05, 0.6, 3)
    thickness = max(int(round(rng.uniform(0.001, 0.0035) * head.scale)), 1)
    angle = np.linspace(0, 2 * np.pi, 28)
    c, s = np.cos(angle), np.sin(angle)

    def stroke(line: Floats) -> None:
        _visible_line(image, head.to_px(line), depth + 0.006 * head.scale, frame * head.white, thickness)

    bridge = []
    for eye, side in zip(eyes, (1, -1)):
        x = eye[0] + side * 0.001 + width * np.sign(c) * np.abs(c) ** power
        y = eye[1] - 0.003 + height * np.sign(s) * np.abs(s) ** power
        rim = np.stack([x, y, front_z - 8 * np.maximum(np.abs(x) - 0.02, 0) ** 2], 1)
        points = head.to_px(rim)
        in_front = depth > points[:, 2].mean() - 0.012 * head.scale
        if head.rotation[2, 2] < 0.2:  # the face is turned to the camera
            opacity = float(rng.uniform(0.7, 0.97) if dark else rng.uniform(0.0, 0.2))
            _fill(image, points[:, :2], glass * head.white, opacity, in_front)
        stroke(rim)
        stroke(np.linspace(rim[np.argmax(side * x)], [side * 0.077, eye[1] + 0.004, -0.075], 12))
        bridge.append(rim[np.argmin(side * x)] + [0, height * 0.3, 0])
    stroke(np.linspace(bridge[0], bridge[1], 6) + np.array([0, 0.002, 0.003]))


def draw_hand(image: Bytes, head: HeadPlacement, skin: Floats, rng: np.random.Generator) -> None:
    """Draw a hand before the face: wrist, palm, thumb and fingers. skin: (3,) color."""
    target = head.landmarks[int(rng.choice([8, 33, 48, 54, 57, 62, 4, 12, 30, 45, 36]))]
    tip = head.to_px(target)[:2] + rng.normal(0, 0.012, 2) * head.scale
    angle = rng.uniform(-2.6, 2.6)  # direction of the fingers, radians; 0 is up
    along, across = np.array([np.sin(angle), -np.cos(angle)]), np.array([np.cos(angle), np.sin(angle)])
    size, px_per_m = rng.uniform(0.85, 1.1), head.scale
    palm = tip - along * 0.06 * size * px_per_m
    spread, thumb_side = rng.uniform(0.0, 0.25), rng.choice([-1, 1])
    bars = [(palm, palm - along * 0.5 * px_per_m, 0.055)]
    bars.append((palm + across * 0.012 * px_per_m, palm - across * 0.012 * px_per_m, 0.075))
    bars.append((palm, palm + (thumb_side * across * 0.7 + along * 0.5) * 0.075 * size * px_per_m, 0.021))
    for k, length in enumerate((0.066, 0.08, 0.084, 0.074)):
        root = palm + across * (k - 1.5) * 0.019 * size * px_per_m + along * 0.02 * px_per_m
        direction = along + across * (k - 1.5) * spread
        bars.append((root, root + direction * length * size * px_per_m * rng.uniform(0.75, 1.0), 0.0175 * size))
    for start, end, width in bars:
        _draw_bar(image, start, end, width * px_per_m, skin * head.white)


def draw_object(image: Bytes, head: HeadPlacement, rng: np.random.Generator) -> None:
    """Draw a telephone, a cup or a microphone as a plain shape before part of the face."""
    target = head.landmarks[int(rng.integers(68))]
    place = head.to_px(target)[:2] + rng.normal(0, 0.03, 2) * head.scale
    color, angle = rng.uniform(0.01, 0.7, 3).astype(np.float32), rng.uniform(-0.8, 0.8)
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * head.scale
    kind = rng.integers(3)
    if kind == 0:
        phone = np.array([[-0.036, -0.075], [0.036, -0.075], [0.036, 0.075], [-0.036, 0.075]])
        _fill(image, place + phone @ axes, color * head.white)
        _fill(image, place + phone @ axes * 0.9, color * 0.4 * head.white)
    elif kind == 1:
        cup = np.array([[-0.042, -0.05], [0.042, -0.05], [0.034, 0.06], [-0.034, 0.06]])
        _fill(image, place + cup @ axes, color * head.white)
        _fill(image, place + (cup * [0.3, 1] - [0.02, 0]) @ axes, color * head.white * 1.4)
    else:
        _draw_bar(image, place, place + np.array([0.0, 0.25]) @ axes, 0.022 * head.scale, color * 0.3)
        _draw_bar(image, place, place + np.array([0.0, 0.012]) @ axes, 0.046 * head.scale, color * 0.2 + 0.03)


def _subpixel(points: Floats) -> NDArray[np.int32]:
    """Convert px to OpenCV's fixed-point coordinates."""
    return np.asarray(np.round(points * 2**_SUBPIXEL_BITS).astype(np.int32))


def _fill(
    image: Bytes, outline: Floats, color: Floats, opacity: float = 1.0, allowed: NDArray[np.bool_] | None = None
) -> None:
    """Fill a polygon (K, 2) px with a linear color (3,), only where `allowed` (H, W) is True."""
    import cv2

    if opacity == 1 and allowed is None:
        cv2.fillPoly(image, [_subpixel(outline)], _to_srgb(color).tolist(), cv2.LINE_AA, _SUBPIXEL_BITS)
        return
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [_subpixel(outline)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    if allowed is not None:
        mask[~allowed] = 0
    x, y, w, h = cv2.boundingRect(mask)
    if not w:
        return
    part = image[y : y + h, x : x + w]
    share = mask[y : y + h, x : x + w, None].astype(np.float32) * (opacity / 255)
    part[:] = part + (_to_srgb(color) - part) * share


def _visible_line(image: Bytes, points: Floats, depth: Floats, color: Floats, thickness_px: int) -> None:
    """Draw a line (K, 3) px where it is nearer than `depth` (H, W). color: (3,) linear."""
    import cv2

    x, y = (points[:, k].astype(int).clip(0, depth.shape[1 - k] - 1) for k in range(2))
    visible = points[:, 2] < depth[y, x]
    runs = np.split(_subpixel(points[:, :2]), np.flatnonzero(~visible))  # all but the first begin with a hidden point
    drawn = [run for run in (runs[0], *(run[1:] for run in runs[1:])) if len(run) > 1]
    srgb = tuple(float(c) for c in _to_srgb(color))
    cv2.polylines(image, drawn, False, srgb, thickness_px, cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_bar(image: Bytes, start: Floats, end: Floats, width_px: float, color: Floats) -> None:
    """Draw a bar with round ends from `start` (2,) to `end` (2,) px, lighter along its middle. color: (3,) linear."""
    import cv2

    ends = [tuple(int(v) for v in _subpixel(point)) for point in (start, end)]
    for share, light in ((1.0, 0.34), (0.86, 0.55), (0.66, 0.7), (0.42, 0.8)):
        tint = np.array([1, 0.97 * light**0.15, 0.95 * light**0.2]) * light
        srgb = tuple(float(c) for c in _to_srgb(color * tint))
        cv2.line(image, ends[0], ends[1], srgb, max(int(round(width_px * share)), 1), cv2.LINE_AA, _SUBPIXEL_BITS)
