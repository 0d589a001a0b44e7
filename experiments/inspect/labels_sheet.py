"""A sheet of labels to look at: each face beside its fitted head, with the strongest expression weights.

    python -m experiments.inspect.labels_sheet --data ../shared/data --labels labels --out sheet.png [--pick eyeBlinkLeft]

`--pick` takes the faces with most of one expression; `left` and `right` those that turn most to that side of the
picture, `worst` those with the largest residual; otherwise faces are drawn at random.
"""

from __future__ import annotations

import argparse
import tarfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import project
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.mesh import vertex_normals
from retarget.render import rasterizer as raster
from retarget.render import shading

SKIN = (0.78, 0.70, 0.64)
Arrays = dict[str, NDArray]


def choose(labels: Arrays, pick: str, count: int, seed: int) -> NDArray[np.int64]:
    """Rows of the labels to show."""
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(labels["ok"]) if pick != "worst" else np.arange(len(labels["ok"]))
    if pick in EXPRESSION_NAMES:
        key = labels["expression"][rows, EXPRESSION_NAMES.index(pick)]
    elif pick in ("left", "right"):
        key = labels["rotation"][rows, 0, 2] * (1 if pick == "right" else -1)  # where the head's z axis points
    elif pick == "worst":
        key = labels["residual"][rows]
    elif pick == "random":
        return rng.choice(rows, min(count, len(rows)), replace=False)
    else:
        raise ValueError(f"--pick {pick}: expected random, worst, left, right or one of ARKit's names")
    strongest = rows[np.argsort(-key.astype(np.float32), kind="stable")[: 4 * count]]
    return strongest[:count] if pick == "worst" else rng.permutation(strongest)[:count]


def tile(picture: NDArray[np.uint8], label: Arrays, model: HeadModel, size: int) -> NDArray[np.uint8]:
    """(size, 2 size, 3) RGB: the face, and the fitted head over it. label: one row of the labels."""
    box = label["box"]
    zoom = size / (1.5 * (box[2:] - box[:2]).max())
    shift = size / 2 - zoom * (box[:2] + box[2:]) / 2
    move = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    plain = cv2.warpAffine(picture, move, (size, size), flags=cv2.INTER_AREA)
    low, high = zoom * box[:2] + shift, zoom * box[2:] + shift
    head = model.vertices(label["identity"][None].astype(np.float32), label["expression"][None].astype(np.float32))[0]
    points = project(head, label["rotation"], label["scale"] * zoom, label["center"] * zoom + shift)
    normals = vertex_normals(head, model.triangles) @ label["rotation"].T
    layer = draw_mesh(points, model.triangles, normals, size)
    drawn = shading.compose(layer * np.float32(0.9), plain)
    cv2.rectangle(plain, low.astype(int).tolist(), high.astype(int).tolist(), (80, 220, 80), 1)
    for line, k in enumerate(np.argsort(-label["expression"])[:5]):
        words = f"{EXPRESSION_NAMES[k]} {label['expression'][k]:.2f}"
        cv2.putText(drawn, words, (3, 11 + 11 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.33, (255, 235, 60), 1, cv2.LINE_AA)
    return np.hstack([plain, drawn])


def draw_mesh(points: NDArray, triangles: NDArray, normals: NDArray, size: int, samples: int = 2) -> NDArray[np.float32]:
    """Draw a lit mesh of one color.

    Args:
        points: (V, 3) px.
        triangles: (T, 3)
        normals: (V, 3) unit, in the frame of the picture.
        size: Width and height of the drawing in px.
        samples: Samples per pixel and axis, against jagged edges.

    Returns:
        (size, size, 4) linear light times coverage, and coverage.
    """
    triangle, weight = raster.rasterize(points * (samples, samples, 1), triangles, size * samples, size * samples)
    drawn = triangle >= 0
    normal = raster.interpolate(normals, triangles, triangle[drawn], weight[drawn])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    layer = np.zeros((*triangle.shape, 4), np.float32)
    layer[drawn, :3] = shading.shade(np.broadcast_to(shading.srgb_to_linear(np.array(SKIN)), normal.shape), normal)
    layer[drawn, 3] = 1
    return shading.downsample(layer, samples)


def read_image(pack: Path, index: int) -> NDArray[np.uint8]:
    """Picture `index` of SOURCE.tar as RGB (H, W, 3)."""
    with tarfile.open(pack) as tar:
        member = tar.extractfile(f"{index:06d}.webp")
        if member is None:
            raise FileNotFoundError(f"{pack}: holds no picture {index}")
        data = np.frombuffer(member.read(), np.uint8)
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", action="append", help="one pack (may be repeated); default: all that have labels")
    parser.add_argument("--pick", action="append", help="what to look at (may be repeated): one row each")
    parser.add_argument("--each", type=int, default=1, help="faces per pack and row")
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model = HeadModel.load()
    present = [p.stem for p in sorted(options.labels.glob("*.npz")) if p.stem != "offsets"]
    rows = []
    for pick in options.pick or ["random"]:
        row = []
        for source in options.source or present:
            labels = dict(np.load(options.labels / f"{source}.npz"))
            labels.pop("head_model", None)
            picture_of_face = np.load(options.data / "faces" / f"{source}.npz")["face_picture"]
            for i in choose(labels, pick, options.each, options.seed):
                pack = options.data / "faces" / f"{source}.tar"
                picture = read_image(pack, int(picture_of_face[labels["face"][i]]))
                row.append(tile(picture, {k: v[i] for k, v in labels.items()}, model, options.size))
        rows.append(np.hstack(row))
    if not cv2.imwrite(str(options.out), np.vstack(rows)[..., ::-1]):
        raise OSError(f"{options.out}: cannot write")


if __name__ == "__main__":
    main()
