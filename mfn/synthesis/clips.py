"""Short videos of one face with exact labels, for training and measuring stability (Guo et al., ECCV 2020, section 3.3).

A clip is made of a still photo (the head turned out of the picture's plane with what is behind it, the picture moved and turned in its
plane, its expression changed), or of a synthetic head. Both get the same camera: motion blur, noise, a wandering exposure, compression.
Frame k of a clip is row k of its `Faces`, `image` is k, and `track` is 0 throughout.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.image_io import Picture
from mfn.structures.camera import project, rotation_about
from mfn.structures.faces import Faces
from mfn.structures.mediapipe_topology import face_box
from mfn.synthesis.expression_edit import Editor
from mfn.synthesis.head_renderer import draw_head, random_light
from mfn.synthesis.heads import Heads, random_expressions, to_bytes
from mfn.synthesis.pose_edit import turn_whole
from mfn.training.data.packs import encode_jpeg
from mfn.training.data.scenes import move_faces, similarity

Floats = NDArray[np.floating]
RATE = 25.0  # frames a second that the speeds below are meant for


class Motion(NamedTuple):
    """How a face moves over K frames.

    turn: (K, 3, 3) camera frame, over the first pose; shift: (K, 2) in parts of the face's size; gain: (K,); roll: (K,) radians, in the
    picture's plane; mix: (K,) 0 to 1, from the first expression to the other
    """

    turn: Floats
    shift: Floats
    gain: Floats
    roll: Floats
    mix: Floats


def random_motion(frames: int, rng: np.random.Generator, liveliness: float = 1.0) -> Motion:
    """Smooth, and now and then held still. liveliness 1: up to about 25 degrees aside and a third of a face's size in a second."""
    if frames < 1:
        raise ValueError(f"frames: expected at least 1, got {frames}")
    time_s = np.arange(frames) / RATE
    yaw, pitch, roll, x, y, gain = (_sway(time_s, rng) * liveliness for _ in range(6))
    turn = rotation_about("y", np.radians(16) * yaw) @ rotation_about("x", np.radians(9) * pitch)
    mix = 0.5 - 0.5 * np.cos(np.pi * np.clip(_sway(time_s, rng) * 1.2, -1, 1)) if frames > 1 else np.zeros(1)
    shift = 0.22 * np.stack([x, y], 1)
    parts = (turn, shift, np.exp(0.08 * gain), np.radians(7) * roll, mix)
    return Motion(*(part.astype(np.float32) for part in parts))


def clip_from_photo(
    picture: Picture, face: Faces, editor: Editor, expression: Floats, motion: Motion, rng: np.random.Generator
) -> tuple[list[Picture], Faces]:
    """A clip of a fitted face in a photo.

    picture: (H, W, 3) uint8 RGB; face: one row; expression: (51,) what it goes to and back from; -> K pictures (H, W, 3), K rows
    """
    import cv2

    frames: list[Picture] = []
    rows: list[Faces] = []
    height, width = picture.shape[:2]
    mirror = np.ones(face.identity.shape[1], np.float32)  # the matrices below never mirror
    size = float((face.box[0, 2:] - face.box[0, :2]).max())
    camera = _Camera(rng)

    def box_of(faces: Faces) -> Floats:
        return face_box(editor.model.landmarks(faces, "mediapipe478"))

    for k in range(len(motion.mix)):
        now = face.expression * (1 - motion.mix[k]) + expression[None] * motion.mix[k]
        edit = editor.edit(picture, face, now.astype(np.float32))
        turned, moved = turn_whole(edit.picture, edit.face, editor, motion.turn[k])
        middle = moved.center[0].astype(float)
        matrix = similarity(
            float(motion.gain[k]), float(motion.roll[k]), middle, middle + motion.shift[k] * size, False, width
        )
        warp = matrix.copy()
        warp[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from the centres of px
        shown = cv2.warpAffine(turned, warp, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        row = move_faces(moved, matrix, mirror, np.ones(1, bool), box_of)
        frames.append(camera.shoot(shown, _step(rows, row)))
        rows.append(row.replace(image=np.array([k]), track=np.zeros(1, np.int32)))
    return frames, Faces.concatenate(rows)


def clip_of_head(
    heads: Heads, motion: Motion, rng: np.random.Generator, size: int = 200
) -> tuple[list[Picture], Faces]:
    """A clip of a synthetic person before a still background: K pictures (size, size, 3), K rows."""
    person, light = heads.person(rng), random_light(rng)
    first, background = heads.place(person, size, rng), heads.background(size, rng)
    other = random_expressions(1, rng)
    camera, bright = _Camera(rng), None
    frames: list[Picture] = []
    rows: list[Faces] = []
    span = float((first.box[0, 2:] - first.box[0, :2]).max())
    for k in range(len(motion.mix)):
        spin = rotation_about("z", motion.roll[k])
        row = first.replace(
            rotation=(spin @ motion.turn[k] @ first.rotation[0]).astype(np.float32)[None],
            center=first.center + motion.shift[k] * span,
            scale=first.scale * motion.gain[k],
            expression=first.expression * (1 - motion.mix[k]) + other * motion.mix[k],
        )
        row = heads.boxed(row)
        points = project(person.vertices(heads.model, row.expression[0]), row.rotation[0], row.scale[0], row.center[0])
        colour, pixel, _ = draw_head(heads.canvas, person, points, row.rotation[0], light, (size, size))
        bright = bright or 0.28 / max(float(colour.mean()), 0.02)
        frame = background.copy()
        frame.reshape(-1, 3)[pixel] = to_bytes(colour * np.float32(bright))
        frames.append(camera.shoot(frame, _step(rows, row)))
        rows.append(row.replace(image=np.array([k]), track=np.zeros(1, np.int32)))
    return frames, Faces.concatenate(rows)


class _Camera:
    """One camera for all frames of a clip: its noise, exposure and compression stay alike, motion blur follows the motion."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.noise = float(rng.uniform(1, 9)) if rng.random() < 0.6 else 0.0
        self.quality = int(rng.integers(35, 92)) if rng.random() < 0.6 else 0
        self.shutter = float(rng.uniform(0, 0.6))  # share of a frame's time
        self.gain = 1.0

    def shoot(self, picture: Picture, step: Floats) -> Picture:
        """picture: (H, W, 3) uint8; step: (2,) px that the face has moved since the last frame."""
        import cv2

        length = float(np.linalg.norm(step)) * self.shutter
        if length > 1.2:
            picture = cv2.filter2D(picture, -1, _streak(step / np.linalg.norm(step), length))
        self.gain = float(np.clip(self.gain * np.exp(self.rng.normal(0, 0.008)), 0.85, 1.15))
        out = picture.astype(np.float32) * self.gain
        if self.noise:
            out += self.rng.normal(0, self.noise, picture.shape).astype(np.float32)
        taken = np.clip(out, 0, 255).astype(np.uint8)
        return encode_jpeg(taken, self.quality) if self.quality else taken


def _streak(direction: Floats, length: float) -> Floats:
    """A blurring kernel along a direction, `length` px long."""
    half = int(np.ceil(length / 2))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    along, across = x * direction[0] + y * direction[1], x * direction[1] - y * direction[0]
    kernel = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)
    return (kernel / kernel.sum()).astype(np.float32)


def _step(rows: list[Faces], row: Faces) -> Floats:
    """(2,) px from the last frame's face to this one's."""
    return row.center[0] - rows[-1].center[0] if rows else np.zeros(2, np.float32)


def _sway(time_s: Floats, rng: np.random.Generator) -> Floats:
    """(K,) about -1 to 1: three slow waves, held still at times; 0 in the first frame."""
    waves = np.zeros(len(time_s))
    for size, slow, fast in ((0.7, 0.1, 0.5), (0.3, 0.4, 1.2), (0.1, 1, 3)):
        waves += size * np.sin(2 * np.pi * rng.uniform(slow, fast) * time_s + rng.uniform(0, 6.3))
    if rng.random() < 0.3:
        start = rng.uniform(0, max(time_s[-1], 0.04))
        held = np.clip(time_s - start, 0, None) > 0
        waves = np.where(held, np.interp(start, time_s, waves), waves)
    return np.asarray(waves - waves[0])
