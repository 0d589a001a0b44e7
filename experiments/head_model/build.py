"""Build the head model `mfn/weights/head_model.npz` from the shapes of ICT-FaceKit.

    python -m experiments.head_model.build --ict ict_facekit.npz --mediapipe ict_mediapipe478.npz

The topology is our own: rings at the eyelids, rows at the lips, scattered points elsewhere. Every vertex is a fixed
weighted sum of ICT vertices, so ICT's identities and expressions transfer linearly. Then the expressions get ARKit's units
(`experiments.labels.expression_units`). Takes about half a minute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.common import make_parser
from experiments.head_model import parts
from experiments.head_model.assemble import Topology, assemble
from experiments.head_model.ict import Ict, load_ict
from experiments.head_model.points import face_chart, landmark_sets
from experiments.head_model.regions import REGIONS
from experiments.head_model.shapes import Shapes, learn_shapes
from experiments.head_model.surface import Floats, SurfacePoints
from experiments.labels.expression_units import shape_factors
from mfn.fitting.annotation_pack import save_arrays
from mfn.structures.head_model import DEFAULT_FILE, FORMAT, HeadModel, round_to_grid
from retarget.arkit import EXPRESSION_NAMES


def gaze_direction(ict: Ict, mediapipe: Floats) -> Floats:
    """Return the unit direction (3,) from the left eyeball's center to its pupil.

    Args:
        ict: ICT-FaceKit.
        mediapipe: (478, 3) MediaPipe's points on ICT's mean head, cm. Points 468 and 473 are the right and the left iris;
            the direction is the mean of both, with the right one mirrored.
    """
    pupil = mediapipe[[468, 473]]
    left = (pupil[1] - parts.eye_center(ict, "left") + (pupil[0] - parts.eye_center(ict, "right")) * [-1, 1, 1]) / 2
    return np.asarray(left / np.linalg.norm(left))


def match_signs(path: Path, shapes: Shapes) -> Shapes:
    """Give each identity component the sign that it has in an existing model file.

    The sign of a principal component is arbitrary, but trained networks depend on it.
    """
    if not path.is_file():
        return shapes
    old = HeadModel.load(path)
    if old.identity_basis.shape != shapes.identity.shape:
        return shapes
    sign = np.where((old.identity_basis * shapes.identity).sum((1, 2)) < 0, -1.0, 1.0)
    return shapes._replace(identity=shapes.identity * sign[:, None, None])


def save(
    path: Path, head: Topology, shapes: Shapes, sets: dict[str, SurfacePoints], uv: Floats, spread_m: Floats
) -> None:
    """Write the model file, whole or not at all. Shapes are int16 numbers with one step size for each component.

    Args:
        path: The .npz file.
        head: The mesh.
        shapes: Its shapes.
        sets: Landmark sets by name.
        uv: (V, 2) UV coordinates.
        spread_m: (478,) uncertainty of MediaPipe's points on ICT, m.
    """
    identity, identity_step = round_to_grid(shapes.identity)
    expression, expression_step = round_to_grid(shapes.expression)
    arrays: dict[str, Any] = {
        "format": np.int32(FORMAT),
        "mean": shapes.mean.astype(np.float32),
        "identity": identity,
        "identity_step": identity_step,
        "identity_mirror": shapes.identity_mirror.astype(np.int8),
        "expression": expression,
        "expression_step": expression_step,
        "expression_names": np.array(EXPRESSION_NAMES),
        "triangles": head.triangles.astype(np.uint16),
        "uv": uv.astype(np.float32),
        "mirror": head.mirror.astype(np.uint16),
        "region": head.region.astype(np.uint8),
        "region_names": np.array(REGIONS),
        "mediapipe478_spread": spread_m.astype(np.float32),
        "explained_variance": np.float32(shapes.variance[-1]),
    }
    for name, points in sets.items():
        arrays[f"landmark_vertex_{name}"] = points.corners.astype(np.uint16)
        arrays[f"landmark_weight_{name}"] = points.weights.astype(np.float32)
    save_arrays(path, arrays)


def main() -> None:
    """Build the model from the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--ict", type=Path, default=Path("../shared/data/ict_facekit.npz"), help="ICT-FaceKit as arrays"
    )
    parser.add_argument(
        "--mediapipe",
        type=Path,
        default=Path("../shared/data/ict_mediapipe478.npz"),
        help="MediaPipe's points on ICT-FaceKit",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/head_model.npz"),
        help="the model file (default: %(default)s); its components have the signs of the shipped one",
    )
    options = parser.parse_args()
    ict = load_ict(options.ict)
    with np.load(options.mediapipe, allow_pickle=False) as file:
        vertex, weight, spread_cm = file["vertex"], file["weight"].astype(float), file["spread_cm"]
    mediapipe = (ict.mean[vertex] * weight[..., None]).sum(1)
    head = assemble(ict, gaze_direction(ict, mediapipe), mediapipe)
    shapes = match_signs(DEFAULT_FILE, learn_shapes(ict, head))
    sets = landmark_sets(ict, head, shapes, (vertex, weight))
    points = sets["mediapipe478"]
    factors = shape_factors(shapes.expression, (shapes.mean[points.corners] * points.weights[..., None]).sum(1))
    shapes = shapes._replace(expression=shapes.expression * factors[:, None, None])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save(options.out, head, shapes, sets, face_chart(head, shapes.mean), spread_cm / 100)
    print(
        f"{options.out}: {len(head.mirror)} vertices, {len(head.triangles)} triangles, {len(shapes.identity)} identity components "
        f"that explain {shapes.variance[-1]:.4%} of the variance, {options.out.stat().st_size / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
