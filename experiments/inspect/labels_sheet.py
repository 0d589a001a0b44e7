"""Draw a sheet of fitted labels: each face beside its fitted head, with the strongest expression weights.

    python -m experiments.inspect.labels_sheet --data ../shared/data --labels labels --out sheet.png
    python -m experiments.inspect.labels_sheet --data ../shared/data --labels labels --out sheet.png --pick eyeBlinkLeft --pick worst

`--pick` chooses the faces of a row: the name of a shape those with its largest weights, `left` and `right` those turned
most to that side of the picture, `worst` those with the largest residual, `random` any. For all but `worst` the faces
are drawn from the four times as many first ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from experiments.common import make_parser
from mfn.structures.camera import project
from mfn.structures.head_model import HeadModel
from mfn.training.packs.reader import read_pictures
from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.mesh import vertex_normals
from retarget.io.images import Image, write_image
from retarget.render import rasterizer, shading
from retarget.render.fast_rasterizer import interpolate_corners

SKIN = (0.78, 0.70, 0.64)  # sRGB
SAMPLES = 2  # for each px of a side
OPACITY = np.float32(0.9)
GREEN, YELLOW = (80, 220, 80), (255, 235, 60)
PICKS = ("random", "worst", "left", "right")
Arrays = dict[str, NDArray[Any]]


def render_mesh(
    points: NDArray[Any], triangles: NDArray[Any], colors: NDArray[Any], normals: NDArray[Any], height: int, width: int
) -> NDArray[np.float32]:
    """Render a lit mesh.

    Args:
        points: (V, 3) px.
        triangles: (T, 3).
        colors: (V, 3) sRGB in [0, 1].
        normals: (V, 3) unit, picture frame.
        height: H of the picture.
        width: W of the picture.

    Returns:
        (H, W, 4) float32: linear light times coverage, and coverage, for `shading.compose`.
    """
    fine = np.asarray(points, np.float64) * (SAMPLES, SAMPLES, 1)
    triangle, barycentric = rasterizer.rasterize(fine, triangles, height * SAMPLES, width * SAMPLES)
    drawn = triangle >= 0
    layer = np.zeros((*triangle.shape, 4), np.float32)
    vertex = np.concatenate([shading.srgb_to_linear(colors), np.asarray(normals, np.float32)], axis=1)  # (V, 6)
    pixel = interpolate_corners(vertex, triangles[triangle[drawn]], barycentric[drawn])
    normal = pixel[:, 3:] / np.maximum(np.linalg.norm(pixel[:, 3:], axis=1, keepdims=True), 1e-6)
    layer[drawn, :3] = shading.shade(pixel[:, :3], normal)
    layer[drawn, 3] = 1
    return shading.downsample(layer, SAMPLES)


def choose(labels: Arrays, pick: str, count: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of the labels to show.

    Raises:
        ValueError: `pick` is not known.
    """
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(labels["ok"]) if pick != "worst" else np.arange(len(labels["ok"]))
    if pick == "random":
        return rng.choice(rows, min(count, len(rows)), replace=False)
    if pick in EXPRESSION_NAMES:
        key = labels["expression"][rows, EXPRESSION_NAMES.index(pick)]
    elif pick in ("left", "right"):
        key = labels["rotation"][rows, 0, 2] * (1 if pick == "right" else -1)  # x of the head's z axis
    elif pick == "worst":
        key = labels["residual"][rows]
    else:
        raise ValueError(f"--pick: expected {', '.join(PICKS)} or a name of ARKit's shapes, got {pick!r}")
    strongest = rows[np.argsort(-key.astype(np.float32), kind="stable")[: 4 * count]]
    return strongest[:count] if pick == "worst" else rng.permutation(strongest)[:count]


def draw_tile(picture: Image, label: Arrays, model: HeadModel, size_px: int) -> Image:
    """Draw a face, and the fitted head over it.

    Args:
        picture: (H, W, 3) uint8 RGB.
        label: One row of the labels.
        model: The head model.
        size_px: Side of each of the two pictures.

    Returns:
        (size_px, 2 size_px, 3) uint8 RGB.
    """
    box = label["box"]
    zoom = size_px / (1.5 * (box[2:] - box[:2]).max())
    shift = size_px / 2 - zoom * (box[:2] + box[2:]) / 2
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    plain = np.asarray(cv2.warpAffine(picture, matrix, (size_px, size_px), flags=cv2.INTER_AREA), np.uint8)
    identity, expression = (label[name][None].astype(np.float32) for name in ("identity", "expression"))
    head = model.vertices(identity, expression)[0]
    points = project(head, label["rotation"], label["scale"] * zoom, label["center"] * zoom + shift)
    normals = vertex_normals(head, model.triangles) @ label["rotation"].T
    layer = render_mesh(points, model.triangles, np.full(head.shape, SKIN), normals, size_px, size_px)
    drawn = shading.compose(layer * OPACITY, plain)
    low, high = zoom * box[:2] + shift, zoom * box[2:] + shift
    cv2.rectangle(plain, low.astype(int).tolist(), high.astype(int).tolist(), GREEN, 1)
    for line, k in enumerate(np.argsort(-label["expression"])[:5]):
        text = f"{EXPRESSION_NAMES[k]} {label['expression'][k]:.2f}"
        cv2.putText(drawn, text, (3, 11 + 11 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.33, YELLOW, 1, cv2.LINE_AA)
    return np.hstack([plain, drawn])


def draw_pack(data: Path, path: Path, pick: str, options: argparse.Namespace, model: HeadModel) -> list[Image]:
    """Draw the chosen faces of one pack.

    Args:
        data: Folder with faces/.
        path: The label file.
        pick: Which faces.
        options: The command line's `each`, `seed` and `size`.
        model: The head model.
    """
    with np.load(path) as file:
        labels: Arrays = {name: file[name] for name in file.files if name != "head_model"}
    with np.load(data / "faces" / path.name) as file:
        picture_of_face = file["face_picture"]
    pictures = read_pictures(data / "faces" / f"{path.stem}.tar")
    tiles = []
    for row in choose(labels, pick, options.each, options.seed):
        picture = pictures[int(picture_of_face[labels["face"][row]])]
        tiles.append(draw_tile(picture, {name: values[row] for name, values in labels.items()}, model, options.size))
    return tiles


def draw_sheet(paths: Sequence[Path], picks: Sequence[str], options: argparse.Namespace) -> Image:
    """Draw one row for each pick, with faces of all packs."""
    model = HeadModel.load()
    rows = [[tile for path in paths for tile in draw_pack(options.data, path, pick, options, model)] for pick in picks]
    return np.vstack([np.hstack(row) for row in rows])


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--out", type=Path, required=True, help="the picture")
    parser.add_argument("--source", action="append", help="name of a pack (may be repeated; default: all that have labels)")
    parser.add_argument("--pick", action="append", help="which faces (may be repeated: one row each; default: random)")
    parser.add_argument("--each", type=int, default=1, help="faces of each pack in a row")
    parser.add_argument("--size", type=int, default=200, help="side of a picture in px")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    options = parse_arguments()
    sources = options.source or [path.stem for path in sorted(options.labels.glob("*.npz"))]
    sheet = draw_sheet([options.labels / f"{source}.npz" for source in sources], options.pick or ["random"], options)
    write_image(options.out, sheet)


if __name__ == "__main__":
    main()
