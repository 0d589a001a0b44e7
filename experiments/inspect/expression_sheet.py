"""Draw our head with each of the 51 expression shapes at weight 1, the neutral face first, as one labeled picture.

    python -m experiments.inspect.expression_sheet --out sheet.png
    python -m experiments.inspect.expression_sheet --out sheet.png --names eyeBlinkLeft jawOpen+mouthPucker --yaw-deg 30 --wire

The subject's left is on the right of each picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common import make_parser, picture_grid
from mfn.structures.camera import FRONTAL, project
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.mesh import vertex_normals
from retarget.geometry.rotations import rotation_about
from retarget.io.images import Image, write_image
from retarget.render.rasterizer import rasterize

NEUTRAL = "neutral"
SAMPLES = 2  # for each px of a side
VIEW_M = 0.26  # height of the view
LIGHT = np.array([-0.35, -0.45, -0.82])
AMBIENT = 0.35
WIRE_WIDTH, WIRE_SHADE = 0.06, 0.35
COLORS = {
    "face": (218, 176, 150), "lids": (206, 160, 138), "lips": (190, 100, 95), "brows": (120, 82, 62), "ears": (214, 165, 140),
    "scalp": (180, 145, 122), "neck": (208, 166, 142), "eyeball_left": (240, 240, 238), "eyeball_right": (240, 240, 238),
    "iris": (70, 120, 160), "pupil": (15, 15, 18), "mouth_inside": (90, 25, 28), "teeth": (245, 242, 228), "gums": (190, 95, 95),
    "tongue": (200, 90, 90), "nostrils": (80, 45, 40),
}  # fmt: skip


def paint(model: HeadModel, vertices: NDArray[np.float32], rotation: NDArray[np.float32], size_px: int, wire: bool) -> Image:
    """Draw one head.

    Args:
        model: The head model, for triangles and regions.
        vertices: (V, 3) meters.
        rotation: (3, 3) head to camera.
        size_px: Side of the picture.
        wire: Whether to darken the edges of the triangles.

    Returns:
        (size_px, size_px, 3) uint8 RGB.
    """
    side = size_px * SAMPLES
    points = project(vertices, rotation, np.float32(side / VIEW_M), np.array([side / 2, side * 0.44], np.float32))
    index, weight = rasterize(points, model.triangles, side, side, cull=True)
    normals = vertex_normals(vertices, model.triangles) @ rotation.T
    lit = AMBIENT + (1 - AMBIENT) * np.clip(normals @ LIGHT, 0, 1)
    color = np.array([COLORS[name] for name in model.region_names], np.float32)[model.region] * lit[:, None]
    picture = (color[model.triangles[np.maximum(index, 0)]] * weight[..., None]).sum(2)
    if wire:
        picture *= np.where(weight.min(-1, keepdims=True) < WIRE_WIDTH, WIRE_SHADE, 1.0)
    picture[index < 0] = 255
    return np.asarray(picture.reshape(size_px, SAMPLES, size_px, SAMPLES, 3).mean((1, 3)), np.uint8)


def expression_of(name: str) -> NDArray[np.float32]:
    """Return the weights (1, 51) of shapes joined with "+", or of "neutral".

    Raises:
        ValueError: A name is not one of ARKit's.
    """
    expression = np.zeros((1, len(EXPRESSION_NAMES)), np.float32)
    for part in name.split("+"):
        if part != NEUTRAL and part not in EXPRESSION_NAMES:
            raise ValueError(f"--names: expected names of ARKit's shapes, or neutral, got {part!r}")
        if part != NEUTRAL:
            expression[0, EXPRESSION_NAMES.index(part)] = 1
    return expression


def draw_sheet(model: HeadModel, names: Sequence[str], yaw_deg: float, size_px: int, columns: int, wire: bool) -> Image:
    """Draw a grid of heads with their names."""
    import cv2

    rotation = (FRONTAL @ rotation_about("y", np.deg2rad(yaw_deg))).astype(np.float32)
    tiles = []
    for name in names:
        vertices = model.vertices(np.zeros((1, model.identity_size), np.float32), expression_of(name))[0]
        tile = paint(model, vertices, rotation, size_px, wire)
        cv2.putText(tile, name, (6, size_px - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
        tiles.append(tile)
    return picture_grid(tiles, min(columns, len(tiles)), fill=255)


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("expression_sheet.png"), help="the picture")
    parser.add_argument("--names", nargs="*", default=[NEUTRAL, *EXPRESSION_NAMES], help="shapes; join several at once with +")
    parser.add_argument("--yaw-deg", type=float, default=0.0, help="yaw of the head in degrees")
    parser.add_argument("--size", type=int, default=240, help="side of one head's picture in px")
    parser.add_argument("--columns", type=int, default=9)
    parser.add_argument("--wire", action="store_true", help="draw the edges of the triangles")
    args = parser.parse_args()
    write_image(args.out, draw_sheet(HeadModel.load(), args.names, args.yaw_deg, args.size, args.columns, args.wire))
    print(args.out)


if __name__ == "__main__":
    main()
