"""Draw the strongest moments of a clip: the actor, the weights, and characters beside them. For a check by eye.

    python -m experiments.inspect.actor_sheet clip.mp4 sheet.png --avatar robot --avatar avatar.glb
    mfn animate clip.mp4 --people 1 --out clip.npz
    python -m experiments.inspect.actor_sheet clip.mp4 sheet.png --take clip.npz --avatar lion

Each row is a moment. It is the peak of an expression, such as a wink to one side or a round mouth. Characters stand where the
actor is, on a gray ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.common import make_parser
from mfn.video.reader import read_frames
from retarget import Rig, Take, load_rig, render_scene
from retarget.arkit import ARKIT_NAMES
from retarget.geometry.weak_perspective import default_focal_px
from retarget.io.images import Image, write_image
from retarget.performance.files import read_take
from retarget.rig.avatars import AVATAR_NAMES, find_avatar

SIDE_PX = 240
TEXT_PX = 165
LINE_PX = 15
PRINTED_WEIGHTS = 14
APART_S = 0.3
VIEW_M = 0.14  # half of what a tile shows
PEAKS = {
    "eyes closed": "eyeBlinkLeft + eyeBlinkRight",
    "left wink": "2 eyeBlinkLeft - 2 eyeBlinkRight",
    "right wink": "2 eyeBlinkRight - 2 eyeBlinkLeft",
    "squint": "eyeSquintLeft + eyeSquintRight",
    "brows down": "browDownLeft + browDownRight",
    "brows up": "browInnerUp + browOuterUpLeft + browOuterUpRight",
    "looks left": "eyeLookOutLeft + eyeLookInRight",
    "looks right": "eyeLookInLeft + eyeLookOutRight",
    "looks up": "eyeLookUpLeft + eyeLookUpRight",
    "looks down": "eyeLookDownLeft + eyeLookDownRight",
    "jaw open": "2 jawOpen",
    "jaw left": "2 jawLeft",
    "jaw right": "2 jawRight",
    "round mouth": "mouthPucker + mouthFunnel",
    "pucker": "2 mouthPucker",
    "funnel": "2 mouthFunnel",
    "smile": "mouthSmileLeft + mouthSmileRight",
    "frown": "mouthFrownLeft + mouthFrownRight",
    "stretched mouth": "mouthStretchLeft + mouthStretchRight",
    "mouth left": "2 mouthLeft",
    "mouth right": "2 mouthRight",
    "one-sided smile": "2 mouthSmileLeft - 2 mouthSmileRight",
    "rolled lips": "mouthRollLower + mouthRollUpper",
    "pressed lips": "mouthPressLeft + mouthPressRight",
    "upper lip up": "mouthUpperUpLeft + mouthUpperUpRight",
    "lower lip down": "mouthLowerDownLeft + mouthLowerDownRight",
    "cheek puff": "2 cheekPuff",
    "sneer": "noseSneerLeft + noseSneerRight",
}  # fmt: skip
"""Expressions whose peaks are drawn, as sums of weights; each is at most 2."""


class Moment(NamedTuple):
    """A row of a take and the expression whose peak it is."""

    row: int
    name: str


def strength(take: Take, terms: str) -> NDArray[np.float32]:
    """Return a sum of weights (S,), such as "2 jawLeft - 2 jawRight"."""
    total, sign, factor = np.zeros(len(take), np.float32), 1.0, 1.0
    for word in terms.split():
        if word in "+-":
            sign = 1.0 if word == "+" else -1.0
        elif word.isdecimal():
            factor = float(word)
        else:
            total += sign * factor * take.coefficients[:, ARKIT_NAMES.index(word)]
            factor = 1.0
    return total


def strong_moments(take: Take, count: int) -> list[Moment]:
    """Choose the peaks of the strongest expressions, at different times, in the order of time."""
    curves = {name: strength(take, terms) for name, terms in PEAKS.items()}
    chosen: list[Moment] = []
    for name in sorted(curves, key=lambda key: -curves[key].max()):
        free = np.all([np.abs(take.time_s - take.time_s[m.row]) >= APART_S for m in chosen], axis=0) if chosen else True
        curve = np.where(free, curves[name], -np.inf)
        if len(chosen) < count and np.isfinite(curve.max()):
            chosen.append(Moment(int(curve.argmax()), name))
    return sorted(chosen)


def _crop(picture: Image, sample: Take, focal_px: float) -> Image:
    """Cut the square around a head. Outside of the picture it is gray."""
    import cv2

    height, width = picture.shape[:2]
    x, y, z = sample.translation[0]
    center = np.array([width / 2 - focal_px * x / z, height / 2 + focal_px * y / z])
    scale = SIDE_PX / 2 / (focal_px * VIEW_M / -z)
    matrix = np.array([[scale, 0, SIDE_PX / 2 - scale * center[0]], [0, scale, SIDE_PX * 0.45 - scale * center[1]]])
    return np.asarray(cv2.warpAffine(picture, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_AREA, borderValue=(128,) * 3), np.uint8)


def weight_lines(sample: Take) -> list[str]:
    """Return the strongest weights of a sample, one line each."""
    weights = sample.coefficients[0]
    order = np.argsort(-weights)[:PRINTED_WEIGHTS]
    return [f"{weights[i]:.2f} {ARKIT_NAMES[i]}" for i in order]


def _write(lines: Sequence[str]) -> Image:
    import cv2

    tile = np.full((SIDE_PX, TEXT_PX, 3), 255, np.uint8)
    for number, line in enumerate(lines, 1):
        cv2.putText(tile, line, (4, number * LINE_PX), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (20, 20, 20), 1, cv2.LINE_AA)
    return tile


def draw_row(frame: Image, sample: Take, name: str, rigs: Sequence[Rig]) -> Image:
    """Draw one moment: weights, actor, characters."""
    height, width = frame.shape[:2]
    focal_px = sample.footage.focal_px or default_focal_px(width, height)
    tiles = [_write([f"{name}, {sample.time_s[0]:.2f} s", *weight_lines(sample)]), _crop(frame, sample, focal_px)]
    for rig in rigs:
        tiles.append(_crop(render_scene(sample, [rig], width, height, focal_px, whole_body=True), sample, focal_px))
    return np.concatenate(tiles, axis=1)


def draw_sheet(clip: Path, take: Take, rigs: Sequence[Rig], count: int) -> Image:
    """Draw the strong moments of the longest performance of a take.

    Raises:
        ValueError: The take is empty, or of another clip.
    """
    if not len(take):
        raise ValueError(f"{clip}: expected the longest performance of a take with samples, got none")
    actors, counts = np.unique(take.actor, return_counts=True)
    take = take[take.actor == actors[counts.argmax()]]
    wanted = {float(take.time_s[moment.row]): moment for moment in strong_moments(take, count)}
    rows = []
    for time_s, frame in read_frames(str(clip)):
        near = next((t for t in wanted if abs(t - time_s) < 1e-3), None)
        if near is not None:
            moment = wanted.pop(near)
            rows.append(draw_row(frame, take[[moment.row]], moment.name, rigs))
    if not rows:
        raise ValueError(f"{clip}: none of the take's times is that of a frame; give the take of this clip")
    return np.concatenate(rows)


def _find_take(clip: Path, given: Path | None) -> Take:
    """Read a take, or find the main person of a clip with the default network."""
    if given is not None:
        return read_take(given)
    from experiments.inspect.clip_strip import read_main_person
    from mfn.animation.bridge import faces_to_take
    from mfn.inference.predictor import Predictor

    frames, faces = read_main_person(clip, Predictor.load())
    times = np.array([time_s for time_s, _ in read_frames(str(clip))])
    return faces_to_take(faces, frames[0].shape[1::-1], time_s=times)


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("clip", type=Path, help="the video")
    parser.add_argument("out", type=Path, help="the picture")
    parser.add_argument("--take", type=Path, help="performance of the clip, as mfn animate writes it (default: it is made)")
    parser.add_argument("--avatar", action="append", default=[], help="name or file of a character (default: all that ship)")
    parser.add_argument("--frames", type=int, default=12, help="number of moments (default: %(default)s)")
    args = parser.parse_args()
    names = args.avatar or list(AVATAR_NAMES)
    rigs = [load_rig(find_avatar(name) if name in AVATAR_NAMES else name) for name in names]
    write_image(args.out, draw_sheet(args.clip, _find_take(args.clip, args.take), rigs, args.frames))
    print(args.out)


if __name__ == "__main__":
    main()
