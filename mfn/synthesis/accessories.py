"""What people have about their heads: shoulders, long hair, glasses, a cap's brim, hands and things before the face. Drawn with OpenCV.

Everything writes into a picture (H, W, 3) uint8 RGB. `Scene` says where the head is; lengths are metres in the head's frame.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]
SUB = 4  # OpenCV draws at 1 / 16 px


class Scene(NamedTuple):
    """marks: (68, 3) metres of this head; rotation (3, 3); scale px a metre; center (2,) px; light: (3,) a white wall here, 0 to 1"""

    marks: Floats
    rotation: Floats
    scale: float
    center: Floats
    light: Floats

    def to_px(self, points: Floats) -> Floats:
        """(..., 3) metres, head frame -> (..., 3) px, smaller z is nearer."""
        out = np.asarray(points, np.float32) @ self.rotation.T * self.scale
        out[..., :2] += self.center
        return out


def to_srgb(linear: Floats) -> Floats:
    """Linear colour (3,) -> 0 to 255."""
    return 255 * np.clip(np.asarray(linear, np.float32), 0, 1) ** np.float32(1 / 2.2)


def _fill(
    picture: Bytes, outline: Floats, colour: Floats, opacity: float = 1.0, behind: NDArray[np.bool_] | None = None
) -> None:
    """A polygon (K, 2) px, by `opacity`; only where `behind` (H, W) is True if given. colour: linear (3,)."""
    import cv2

    corners = [np.round(outline * 2**SUB).astype(np.int32)]
    if opacity == 1 and behind is None:
        cv2.fillPoly(picture, corners, to_srgb(colour).tolist(), cv2.LINE_AA, SUB)
        return
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, corners, 255, cv2.LINE_AA, SUB)
    if behind is not None:
        mask[~behind] = 0
    x, y, w, h = cv2.boundingRect(mask)
    if not w:
        return
    part = picture[y : y + h, x : x + w]
    share = mask[y : y + h, x : x + w, None].astype(np.float32) * (opacity / 255)
    part[:] = part + (to_srgb(colour) - part) * share


def draw_behind(
    picture: Bytes, scene: Scene, shirt: Floats, hair: Floats, long_hair: float, rng: np.random.Generator
) -> None:
    """Shoulders, and hair that falls behind them. long_hair: 0 none to 1 far down."""
    import cv2

    base = scene.to_px(np.array([0.0, -0.2, -0.07]))[:2]
    s = scene.scale
    half, drop = rng.uniform(0.17, 0.24), rng.uniform(0.02, 0.07)
    outline = [
        [-0.05, -0.03],
        [-0.1, 0],
        [-half, drop],
        [-half - 0.03, 0.5],
        [half + 0.03, 0.5],
        [half, drop],
        [0.1, 0],
        [0.05, -0.03],
    ]
    _fill(picture, base + np.array(outline) * s, shirt * scene.light * 0.8)
    if not long_hair:
        return
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    wide, low = rng.uniform(0.085, 0.115), -0.05 - 0.2 * long_hair
    rings = [(0.09, 0.6, 0.0), (0.03, 0.95, 0.0), (-0.06, 1.0, 0.0), (low, rng.uniform(0.8, 1.2), -0.01)]
    across, along = wide * np.cos(turn), 0.09 * np.sin(turn)
    cloud = np.concatenate([np.stack([k * across, np.full(12, y), -0.075 + z + k * along], 1) for y, k, z in rings])
    cloud[:, 2] = np.minimum(cloud[:, 2], 0.0)
    hull = cv2.convexHull(scene.to_px(cloud)[:, :2].astype(np.float32))[:, 0]
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(hull * 2**SUB).astype(np.int32)], 255, cv2.LINE_AA, SUB)
    rows = cv2.resize(rng.normal(1, 0.3, (6, max(picture.shape[1] // 2, 2))).astype(np.float32), picture.shape[1::-1])
    strands = to_srgb(np.clip(hair * scene.light * 0.55, 0.005, 1))[None, None] * rows[..., None].clip(0.4, 1.8) ** 0.45
    share = mask[..., None].astype(np.float32) / 255
    picture[:] = (picture + (strands - picture) * share).clip(0, 255)


def draw_locks(picture: Bytes, scene: Scene, hair: Floats, depth: Floats, rng: np.random.Generator) -> None:
    """Hair that falls before the ears."""
    for side in (-1, 1):
        out, low = rng.uniform(0.072, 0.086), rng.uniform(-0.2, -0.1)
        line = np.array([[out - 0.008, 0.05, -0.02], [out, 0.0, -0.015], [out, -0.07, -0.01], [out - 0.012, low, 0.0],
                         [out + 0.01, low, -0.05], [out + 0.012, -0.05, -0.06], [out + 0.006, 0.05, -0.05]])  # fmt: skip
        points = scene.to_px(line * [side, 1, 1])
        near = depth > points[:, 2].mean() - 0.012 * scene.scale
        _fill(picture, points[:, :2], hair * scene.light * rng.uniform(0.4, 0.9), 0.97, near)


def draw_brim(picture: Bytes, scene: Scene, cloth: Floats, rng: np.random.Generator) -> None:
    """A cap's brim over the forehead."""
    top = scene.marks[[19, 24], 1].mean() + rng.uniform(0.018, 0.03)
    turn, length, droop = np.linspace(0, np.pi, 15), rng.uniform(0.06, 0.085), rng.uniform(-0.012, 0.012)
    arc = np.stack([0.07 * np.cos(turn), top + droop * np.sin(turn), 0.005 + (0.03 + length) * np.sin(turn)], 1)
    shade = 0.75 if scene.rotation[1, 2] > 0 else 0.4  # seen from above, or from below
    back = arc[::-1] * [1, 0, 0.25] + [0, top + 0.006, 0.012]
    _fill(picture, scene.to_px(np.concatenate([arc, back]))[:, :2], cloth * scene.light * shade)


def draw_glasses(picture: Bytes, scene: Scene, depth: Floats, rng: np.random.Generator) -> None:
    """Frames of many shapes, clear or dark, hidden by the head where they pass behind it."""
    import cv2

    middle = [scene.marks[42:48].mean(0), scene.marks[36:42].mean(0)]
    front = scene.marks[27, 2] + 0.004
    wide, high, power = rng.uniform(0.021, 0.029), rng.uniform(0.013, 0.024), rng.uniform(0.45, 1.0)
    dark = rng.random() < 0.35
    glass = rng.uniform(0.005, 0.05, 3) if dark else np.array([0.8, 0.85, 0.9])
    frame = rng.uniform(0.005, 0.08, 3) if rng.random() < 0.7 else rng.uniform(0.05, 0.6, 3)
    thick = max(int(round(rng.uniform(0.001, 0.0035) * scene.scale)), 1)
    turn = np.linspace(0, 2 * np.pi, 28)
    colour = tuple(float(c) for c in to_srgb(frame * scene.light))

    def stroke(line: Floats) -> None:
        points = scene.to_px(line)
        x, y = (points[:, k].astype(int).clip(0, depth.shape[1 - k] - 1) for k in range(2))
        clear = points[:, 2] < depth[y, x] + 0.006 * scene.scale
        ends = np.round(points[:, :2] * 2**SUB).astype(np.int32)
        runs = np.split(ends, np.flatnonzero(~clear))  # all but the first begin with a point that is hidden
        seen = [run for run in (runs[0], *(run[1:] for run in runs[1:])) if len(run) > 1]
        cv2.polylines(picture, seen, False, colour, thick, cv2.LINE_AA, SUB)

    inner = []
    for eye, side in zip(middle, (1, -1)):
        c, s = np.cos(turn), np.sin(turn)
        x = eye[0] + side * 0.001 + wide * np.sign(c) * np.abs(c) ** power
        y = eye[1] - 0.003 + high * np.sign(s) * np.abs(s) ** power
        rim = np.stack([x, y, front - 8 * np.maximum(np.abs(x) - 0.02, 0) ** 2], 1)
        points = scene.to_px(rim)
        near = depth > points[:, 2].mean() - 0.012 * scene.scale
        if scene.rotation[2, 2] < 0.2:
            _fill(
                picture,
                points[:, :2],
                glass * scene.light,
                float(rng.uniform(0.7, 0.97) if dark else rng.uniform(0.0, 0.2)),
                near,
            )
        stroke(rim)
        outer = rim[np.argmax(side * x)]
        stroke(np.linspace(outer, [side * 0.077, eye[1] + 0.004, -0.075], 12))
        inner.append(rim[np.argmin(side * x)] + [0, high * 0.3, 0])
    stroke(np.linspace(inner[0], inner[1], 6) + np.array([0, 0.002, 0.003]))


def draw_hand(picture: Bytes, scene: Scene, skin: Floats, rng: np.random.Generator) -> None:
    """A hand before the face: fingers, palm and wrist, coming from below or aside."""
    aim = scene.to_px(scene.marks[int(rng.choice([8, 33, 48, 54, 57, 62, 4, 12, 30, 45, 36]))])[:2]
    aim = aim + rng.normal(0, 0.012, 2) * scene.scale
    turn = rng.uniform(-2.6, 2.6)  # the way the fingers point: 0 is up
    along, across = np.array([np.sin(turn), -np.cos(turn)]), np.array([np.cos(turn), np.sin(turn)])
    size, s = rng.uniform(0.85, 1.1), scene.scale
    palm = aim - along * 0.06 * size * s
    spread, thumb = rng.uniform(0.0, 0.25), rng.choice([-1, 1])
    limbs = [(palm, palm - along * 0.5 * s, 0.055), (palm + across * 0.012 * s, palm - across * 0.012 * s, 0.075)]
    limbs.append((palm, palm + (thumb * across * 0.7 + along * 0.5) * 0.075 * size * s, 0.021))
    for k, length in enumerate((0.066, 0.08, 0.084, 0.074)):
        root = palm + across * (k - 1.5) * 0.019 * size * s + along * 0.02 * s
        point = along + across * (k - 1.5) * spread
        limbs.append((root, root + point * length * size * s * rng.uniform(0.75, 1.0), 0.0175 * size))
    tone = skin * scene.light
    for start, end, width in limbs:
        _limb(picture, start, end, width * s, tone)


def _limb(picture: Bytes, start: Floats, end: Floats, width: float, tone: Floats) -> None:
    """A rounded bar, lighter along its middle."""
    import cv2

    ends = [tuple(int(v) for v in np.round(p * 2**SUB)) for p in (start, end)]
    for share, light in ((1.0, 0.34), (0.86, 0.55), (0.66, 0.7), (0.42, 0.8)):
        colour = tuple(float(c) for c in to_srgb(tone * np.array([1, 0.97 * light**0.15, 0.95 * light**0.2]) * light))
        cv2.line(picture, ends[0], ends[1], colour, max(int(round(width * share)), 1), cv2.LINE_AA, SUB)


def draw_thing(picture: Bytes, scene: Scene, rng: np.random.Generator) -> None:
    """A telephone, a cup, a microphone: a plain shape before part of the face."""
    aim = scene.to_px(scene.marks[int(rng.integers(68))])[:2] + rng.normal(0, 0.03, 2) * scene.scale
    colour, s, turn = rng.uniform(0.01, 0.7, 3).astype(np.float32), scene.scale, rng.uniform(-0.8, 0.8)
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * s
    kind = rng.integers(3)
    if kind == 0:
        box = np.array([[-0.036, -0.075], [0.036, -0.075], [0.036, 0.075], [-0.036, 0.075]])
        _fill(picture, aim + box @ axes, colour * scene.light)
        _fill(picture, aim + box @ axes * 0.9, colour * 0.4 * scene.light)
        return
    if kind == 1:
        cup = np.array([[-0.042, -0.05], [0.042, -0.05], [0.034, 0.06], [-0.034, 0.06]])
        _fill(picture, aim + cup @ axes, colour * scene.light)
        _fill(picture, aim + (cup * [0.3, 1] - [0.02, 0]) @ axes, colour * scene.light * 1.4)
        return
    _limb(picture, aim, aim + np.array([0.0, 0.25]) @ axes, 0.022 * s, colour * 0.3)
    _limb(picture, aim, aim + np.array([0.0, 0.012]) @ axes, 0.046 * s, colour * 0.2 + 0.03)
