"""Builds `mfn/weights/head_model.npz`, our own head model, from ICT-FaceKit's shapes.

    python -m experiments.head_model.build --ict ict_facekit.npz --mediapipe ict_mediapipe478.npz

The topology is ours: rings at lids and lips, a graded cloud elsewhere, triangulated (experiments/head). Every vertex is a fixed mix of
ICT vertices, so ICT's identities and expressions carry over linearly. Takes about half a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from experiments.head_model import parts  # noqa: E402
from experiments.head_model.assemble import REGIONS, Topology, assemble  # noqa: E402
from experiments.head_model.ict import Ict, load_ict  # noqa: E402
from experiments.head_model.points import face_chart, landmark_sets  # noqa: E402
from experiments.head_model.shapes import Shapes, learn_shapes  # noqa: E402
from mfn.structures.head_model import DEFAULT_FILE, FORMAT, HeadModel, round_to_grid  # noqa: E402
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402
from retarget.io.files import atomic_write


def gaze_direction(ict: Ict, mediapipe: np.ndarray) -> np.ndarray:
    """Unit direction (3,) from the left eyeball's centre to its pupil: mean of MediaPipe's two iris centres (468 right, 473 left)."""
    pupil = mediapipe[[468, 473]]
    left = (pupil[1] - parts.eye_centre(ict, "left") + (pupil[0] - parts.eye_centre(ict, "right")) * [-1, 1, 1]) / 2
    return left / np.linalg.norm(left)


def with_signs_of(path: Path, shapes: Shapes) -> Shapes:
    """Turn components round where the file to be replaced has them the other way: a component's sign is free, networks rely on it."""
    if not path.is_file():
        return shapes
    old = HeadModel.load(path)
    if old.identity_basis.shape != shapes.identity.shape:
        return shapes
    sign = np.where((old.identity_basis * shapes.identity).sum((1, 2)) < 0, -1.0, 1.0)
    return shapes._replace(identity=shapes.identity * sign[:, None, None])


def save(path: Path, head: Topology, shapes: Shapes, sets: dict, uv: np.ndarray, spread_m: np.ndarray) -> None:
    """Write the model file whole: int16 shapes with one step a component."""
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
        "region": head.region,
        "region_names": np.array(REGIONS),
        "mediapipe478_spread": spread_m.astype(np.float32),
        "explained_variance": np.float32(shapes.variance[-1]),
    }
    for name, points in sets.items():
        arrays[f"landmark_vertex_{name}"] = points.corners.astype(np.uint16)
        arrays[f"landmark_weight_{name}"] = points.weights.astype(np.float32)
    atomic_write(path, lambda temporary: np.savez_compressed(temporary, **arrays))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ict", type=Path, default=Path("../shared/data/ict_facekit.npz"))
    parser.add_argument("--mediapipe", type=Path, default=Path("../shared/data/ict_mediapipe478.npz"))
    parser.add_argument("--out", type=Path, default=DEFAULT_FILE)
    args = parser.parse_args()
    ict = load_ict(args.ict)
    with np.load(args.mediapipe, allow_pickle=False) as file:
        vertex, weight, spread_cm = file["vertex"], file["weight"].astype(float), file["spread_cm"]
    mediapipe = (ict.mean[vertex] * weight[..., None]).sum(1)
    gaze = gaze_direction(ict, mediapipe)
    head = assemble(ict, gaze, mediapipe)
    shapes = with_signs_of(args.out, learn_shapes(ict, head))
    sets = landmark_sets(ict, head, shapes, (vertex, weight))
    uv = face_chart(head, shapes.mean)
    save(args.out, head, shapes, sets, uv, spread_cm / 100)
    print(f"{args.out}: {len(head.mirror)} vertices, {len(head.triangles)} triangles, {len(shapes.identity)} identity components hold "
          f"{shapes.variance[-1]:.4%} of the variance, {args.out.stat().st_size / 1e6:.2f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
