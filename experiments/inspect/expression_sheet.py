"""Draws our head with each of the 51 expression shapes at weight 1, the neutral face first, as one labelled picture to look at.

    python -m experiments.inspect.expression_sheet --out sheet.png [--names eyeBlinkLeft jawOpen] [--yaw_deg 30] [--size 320] [--wire]

The subject's left is on the right of each picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mfn.structures.camera import FRONTAL, project  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402
from retarget.geometry.mesh import vertex_normals  # noqa: E402
from retarget.geometry.rotations import rotation_about  # noqa: E402
from retarget.render.rasterizer import rasterize  # noqa: E402

COLOURS = {
    "face": (218, 176, 150), "lids": (206, 160, 138), "lips": (190, 100, 95), "brows": (120, 82, 62), "ears": (214, 165, 140),
    "scalp": (180, 145, 122), "neck": (208, 166, 142), "eyeball_left": (240, 240, 238), "eyeball_right": (240, 240, 238),
    "iris": (70, 120, 160), "pupil": (15, 15, 18), "mouth_inside": (90, 25, 28), "teeth": (245, 242, 228), "gums": (190, 95, 95),
    "tongue": (200, 90, 90), "nostrils": (80, 45, 40),
}  # fmt: skip


def paint(model: HeadModel, vertices: np.ndarray, rotation: np.ndarray, size: int, wire: bool) -> np.ndarray:
    """One head (V, 3) as a picture (size, size, 3) uint8."""
    zoom = size * 2
    points = project(vertices, rotation, np.float32(zoom / 0.26), np.array([zoom / 2, zoom * 0.44], np.float32))
    index, weight = rasterize(points, model.triangles, zoom, zoom, cull=True)
    normals = vertex_normals(vertices, model.triangles) @ rotation.T
    light = np.array([-0.35, -0.45, -0.82])
    glow = 0.35 + 0.65 * np.clip(normals @ light, 0, 1)
    colour = np.array([COLOURS[name] for name in model.region_names], np.float32)[model.region] * glow[:, None]
    corners = model.triangles[np.maximum(index, 0)]
    picture = (colour[corners] * weight[..., None]).sum(2)
    if wire:
        picture *= np.where(weight.min(-1, keepdims=True) < 0.06, 0.35, 1.0)
    picture[index < 0] = 255
    return picture.reshape(size, 2, size, 2, 3).mean((1, 3)).astype(np.uint8)


def main() -> None:
    import cv2

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("expression_sheet.png"))
    parser.add_argument(
        "--names", nargs="*", default=["neutral", *EXPRESSION_NAMES], help="join several at once with +"
    )
    parser.add_argument("--yaw_deg", type=float, default=0.0)
    parser.add_argument("--size", type=int, default=240)
    parser.add_argument("--columns", type=int, default=9)
    parser.add_argument("--wire", action="store_true")
    args = parser.parse_args()
    model = HeadModel.load()
    rotation = FRONTAL @ rotation_about("y", np.deg2rad(args.yaw_deg)).astype(np.float32)
    tiles = []
    for name in args.names:
        expression = np.zeros((1, len(EXPRESSION_NAMES)), np.float32)
        for part in name.split("+"):
            if part != "neutral":
                expression[0, EXPRESSION_NAMES.index(part)] = 1
        vertices = model.vertices(np.zeros((1, model.identity_size)), expression)[0]
        tile = np.ascontiguousarray(paint(model, vertices, rotation, args.size, args.wire)[..., ::-1])
        cv2.putText(tile, name, (6, args.size - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
        tiles.append(tile)
    columns = min(args.columns, len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    sheet = np.concatenate([np.concatenate(tiles[k : k + columns], 1) for k in range(0, len(tiles), columns)])
    if not cv2.imwrite(str(args.out), sheet):
        raise SystemExit(f"{args.out}: cannot be written")
    print(args.out)


if __name__ == "__main__":
    main()
