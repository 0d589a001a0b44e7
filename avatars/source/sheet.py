"""Render a sheet of all characters with key expressions: `python -m avatars.source.sheet` writes avatars/sheet.png.

Pass files to render only those.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retarget import Take
from retarget.arkit import ARKIT_NAMES
from retarget.geometry.rotations import matrix_to_quaternion, rotation_about
from retarget.io.files import atomic_write
from retarget.render.scene import render_scene
from retarget.rig.load import load_rig
from retarget.rig.rig import Rig

EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile*": 1, "cheekSquint*": 0.6, "jawOpen": 0.15},
    "blink": {"eyeBlink*": 1},
    "jawOpen": {"jawOpen": 1},
    "surprise": {"jawOpen": 0.5, "eyeWide*": 1, "browInnerUp": 1, "browOuterUp*": 1, "mouthFunnel": 0.3},
    "angry": {"browDown*": 1, "noseSneer*": 0.7, "mouthFrown*": 0.6, "eyeSquint*": 0.4, "mouthUpperUp*": 0.3},
    "wink left": {"eyeBlinkLeft": 1, "mouthSmileLeft": 0.9, "cheekSquintLeft": 0.6},
    "pucker": {"mouthPucker": 1},
    "tongueOut": {"tongueOut": 1, "jawOpen": 0.2},
    "sad": {"browInnerUp": 1, "mouthFrown*": 0.9, "eyeBlink*": 0.25, "eyeLookDown*": 0.3},
    "look aside": {"eyeLookOutLeft": 1, "eyeLookInRight": 1, "eyeLookUp*": 0.8, "browOuterUpLeft": 0.5},
    "turned": {"mouthSmile*": 0.7, "jawOpen": 0.2},
}
"""Title -> ARKit weights; a star stands for Left and Right."""
_VIEW_M, _DISTANCE_M = 0.37, 1.2
_YAW_DEG = {"turned": -38.0}
_GROUND, _SMALL_PX = 236, 48


def coefficients(expression: dict[str, float]) -> NDArray[np.float32]:
    """Return the weights (52,) of one of `EXPRESSIONS`."""
    result = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, value in expression.items():
        for side in ("Left", "Right") if name.endswith("*") else ("",):
            result[ARKIT_NAMES.index(name.rstrip("*") + side)] = value
    return result


def tile(rig: Rig, expression: dict[str, float], size: int, yaw_deg: float = 0.0) -> NDArray[np.uint8]:
    """Render a character with one expression. Returns (size, size, 3) uint8 RGB."""
    turn = rotation_about("y", np.deg2rad([yaw_deg])) @ rotation_about("x", np.deg2rad([4.0]))
    take = Take(
        time_s=np.zeros(1),
        actor=np.zeros(1, np.int32),
        coefficients=coefficients(expression)[None],
        rotation=matrix_to_quaternion(turn).astype(np.float32),
        translation=np.array([[0.0, 0.02, -_DISTANCE_M]]),
    )
    ground = np.full((size, size, 3), _GROUND, np.uint8)
    return render_scene(take, [rig], size, size, size * _DISTANCE_M / _VIEW_M, ground)


def row(rig: Rig, size: int) -> NDArray[np.uint8]:
    """Render all expressions of one character, and at the end three of them as small as in a crowd. Returns (size, width, 3) RGB."""
    tiles = [tile(rig, expression, size, _YAW_DEG.get(title, 0.0)) for title, expression in EXPRESSIONS.items()]
    small = np.full((size, _SMALL_PX, 3), _GROUND, np.uint8)
    for k, title in enumerate(("neutral", "smile", "angry")[: size // _SMALL_PX]):
        small[k * _SMALL_PX : (k + 1) * _SMALL_PX] = tile(rig, EXPRESSIONS[title], _SMALL_PX)
    return np.concatenate([*tiles, small], axis=1)


def header(size: int) -> NDArray[np.uint8]:
    """Draw the names of the expressions. Returns (20, width, 3) RGB."""
    import cv2

    strip = np.full((20, size * len(EXPRESSIONS) + _SMALL_PX, 3), _GROUND, np.uint8)
    for k, title in enumerate((*EXPRESSIONS, f"{_SMALL_PX} px")):
        cv2.putText(strip, title, (k * size + 6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
    return strip


def main() -> None:
    import cv2

    folder = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("avatars", type=Path, nargs="*", default=sorted(folder.glob("*.glb")))
    parser.add_argument("--out", type=Path, default=folder / "sheet.png")
    parser.add_argument("--size", type=int, default=160, help="px of one face's side")
    options = parser.parse_args()
    rows = [row(load_rig(path), options.size) for path in options.avatars]
    sheet = np.concatenate([header(options.size), *rows])
    few = np.ascontiguousarray((sheet & 0xF8 | sheet >> 5)[..., ::-1])  # five bits a channel take half the room
    atomic_write(options.out, cv2.imencode(".png", few, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
    print(options.out)


if __name__ == "__main__":
    main()
