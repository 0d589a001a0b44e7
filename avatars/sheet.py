"""A picture sheet of a character's key expressions, drawn with our own renderer.

python avatars/sheet.py avatars/robot.glb --out avatars/robot.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retarget import Take  # noqa: E402
from retarget.arkit import ARKIT_NAMES  # noqa: E402
from retarget.nodes import matrix_to_quaternion, rotation_about  # noqa: E402
from retarget.picture import render_scene  # noqa: E402
from retarget.rig import Rig, load_rig  # noqa: E402

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
    "look left and up": {"eyeLookOutLeft": 1, "eyeLookInRight": 1, "eyeLookUp*": 0.8, "browOuterUpLeft": 0.5},
    "turned": {"mouthSmile*": 0.7, "jawOpen": 0.2},
}
"""Title -> ARKit coefficients; a star stands for Left and Right."""
_VIEW_M, _DISTANCE_M = 0.37, 1.2


def coefficients(expression: dict[str, float]) -> NDArray[np.float32]:
    """(52,) of one of EXPRESSIONS."""
    result = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, value in expression.items():
        for side in ("Left", "Right") if name.endswith("*") else ("",):
            result[ARKIT_NAMES.index(name.rstrip("*") + side)] = value
    return result


def tile(rig: Rig, expression: dict[str, float], size: int, yaw_deg: float = 0.0) -> NDArray[np.uint8]:
    """(size, size, 3) RGB: the character with one expression."""
    turn = rotation_about(1, np.deg2rad([yaw_deg])) @ rotation_about(0, np.deg2rad([4.0]))
    take = Take(
        time_s=np.zeros(1),
        actor=np.zeros(1, np.int32),
        coefficients=coefficients(expression)[None],
        rotation=matrix_to_quaternion(turn),
        translation=np.array([[0.0, 0.02, -_DISTANCE_M]]),
    )
    return render_scene(take, [rig], size, size, size * _DISTANCE_M / _VIEW_M)


def main() -> None:
    import cv2

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("avatar", type=Path)
    parser.add_argument("--out", type=Path, default=Path("sheet.png"))
    parser.add_argument("--size", type=int, default=300)
    options = parser.parse_args()
    rig, tiles = load_rig(options.avatar), []
    for title, expression in EXPRESSIONS.items():
        picture = tile(rig, expression, options.size, -38.0 if title == "turned" else 0.0)[..., ::-1].copy()
        cv2.putText(picture, title, (8, options.size - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
        tiles.append(picture)
    sheet = np.concatenate([np.concatenate(tiles[k : k + 4], axis=1) for k in range(0, len(tiles), 4)])
    if not cv2.imwrite(str(options.out), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise SystemExit(f"{options.out}: cannot be written")
    print(options.out)


if __name__ == "__main__":
    main()
