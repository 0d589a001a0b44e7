"""Measure the distance between ICT-FaceKit's face surface and ours over random identities and expressions.

    python -m experiments.head_model.measure.error --ict ict_facekit.npz

Each random head has ICT identity weights from N(0, 1). Each expression weight is uniform in [0, 1] with probability
0.15, else 0. Our head gets the same expressions, in its own units, and the identity that fits the skin best by least squares; the
front of the face has a higher weight in this fit. The distance is measured from ICT's vertices of the face front
("narrow_face") to the closest point of our surface.

Three areas are not measured: the neck vertices in "narrow_face", the inside of the nostrils, and the skin behind the
lines where the eyelids or the lips touch. `mouthClose` is 0 in the main figures because our shape differs on purpose:
at jawOpen = mouthClose = 1 ICT's lips pass 6 to 9 mm through each other. The report also has the figures with it.

Where PyTorch3D is installed, the report has chamfer distance and normal consistency of the two fronts for 20 heads: the distance from both
sides, over points drawn from both surfaces, which is larger than that of vertices from a surface, and the cosine between their normals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.common import RESULTS, make_parser, save_report
from experiments.head_model.ict import Ict, load_ict
from experiments.head_model.measure.surface_figures import has_pytorch3d, surface_figures
from experiments.head_model.parts import SIDES, eye_center, eye_shell
from experiments.head_model.surface import Bools, Floats, Ints, closest_points
from mfn.structures.head_model import DEFAULT_FILE, HeadModel
from retarget.arkit import EXPRESSION_NAMES

SKIN = ("face", "lids", "lips", "brows", "ears", "scalp", "neck", "nostrils")
SAME_PLACE_M = 0.003  # a triangle of ours further from ICT's front is not part of it
RESULT = RESULTS / "head_model" / "measure" / "head_model.json"


def eye_midpoint_m(ict: Ict) -> Floats:
    """Return the midpoint (3,) between the eyeballs of ICT's mean head in meters."""
    return (eye_center(ict, "left") + eye_center(ict, "right")) / 200


def measured_vertices(ict: Ict, model: HeadModel) -> Ints:
    """Return the numbers (K,) of ICT's measured vertices: the face front whose closest point on our mean head is outer skin."""
    mean = ict.mean / 100 - eye_midpoint_m(ict)
    index = np.arange(*ict.ranges["narrow_face"])
    skin = model.triangles[model.region_mask(*SKIN)[model.triangles].all(1)]
    points, _ = closest_points(mean[index], model.mean, skin)
    inner = model.region_mask("nostrils", "neck") | innermost_rows(model)
    return index[~inner[points.corners].any(1)]


def innermost_rows(model: HeadModel) -> Bools:
    """Return True (V,) for rows behind the line of contact: the first row of the eyelids, the first two rows of the lips."""
    skin = model.triangles[model.region_mask(*SKIN)[model.triangles].all(1)]
    edges = np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]])
    known = set(map(tuple, edges.tolist()))
    rim = np.zeros(len(model.mean), bool)
    rim[[a for a, b in known if (b, a) not in known]] = True
    rim &= model.region_mask("lids", "lips")
    second = np.zeros_like(rim)
    second[edges[rim[edges[:, 0]]][:, 1]] = True
    return rim | (second & model.region_mask("lips"))


class HeadPair(NamedTuple):
    """Vertices of one random head in meters: all of ICT's (W, 3) and ours (V, 3)."""

    theirs: Floats
    ours: Floats


def random_heads(ict: Ict, model: HeadModel, heads: int, seed: int, mouth_close: bool) -> Iterator[HeadPair]:
    """Yield random heads of ICT and ours, fitted to them.

    Args:
        ict: ICT-FaceKit.
        model: Our head model.
        heads: Number of random heads.
        seed: Seed of the random weights.
        mouth_close: Whether mouthClose is among the expressions.
    """
    rng = np.random.default_rng(seed)
    skin_mask = model.region_mask(*SKIN)
    origin = eye_midpoint_m(ict)
    centered = ict.mean / 100 - origin
    where, _ = closest_points(model.mean[skin_mask], centered, ict.triangles(0, ict.ranges["head_neck"][1]))
    shells = [np.unique(eye_shell(ict, side)) for side in SIDES]
    shift = np.mean([ict.identity[:, shell].mean(1) for shell in shells], 0)
    samples = np.stack(
        [where.interpolate((part - move) / 100) for part, move in zip(ict.identity, shift)]
    )  # (100, S, 3)
    weight = np.where(model.region_mask("face", "lids", "lips", "brows")[skin_mask], 1.0, 0.3)[:, None]
    solve = np.linalg.pinv((model.identity_basis[:, skin_mask] * weight).reshape(model.identity_size, -1).T)
    to_ours = solve @ (samples * weight).reshape(len(samples), -1).T  # (I, 100)
    units = expression_units(np.stack([where.interpolate(shape / 100) for shape in ict.expression]), model, skin_mask)
    for _ in range(heads):
        weights = rng.standard_normal(len(ict.identity))
        count = len(model.expression_basis)
        expression = rng.uniform(0, 1, count) * (rng.uniform(size=count) < 0.15)
        expression[EXPRESSION_NAMES.index("mouthClose")] *= mouth_close
        theirs = ict.mean + np.tensordot(weights, ict.identity, 1)
        theirs = theirs + np.tensordot(expression, ict.expression, 1) - weights @ shift
        identity = (to_ours @ weights)[None].astype(np.float32)
        ours = model.vertices(identity, (units * expression)[None].astype(np.float32))[0].astype(float)
        yield HeadPair(theirs / 100 - origin, ours)


def expression_units(samples: Floats, model: HeadModel, skin_mask: Bools) -> Floats:
    """Return the weight (51,) at which our shape is nearest to ICT's full one: ours are in ARKit's units, ICT's (51, S, 3) are not."""
    shapes = model.expression_basis[:, skin_mask].reshape(len(samples), -1).astype(float)
    return np.asarray((shapes * samples.reshape(len(samples), -1)).sum(1) / np.maximum((shapes**2).sum(1), 1e-12))


def distances_mm(ict: Ict, model: HeadModel, heads: int, seed: int, mouth_close: bool) -> Floats:
    """Measure the distance (heads, K) in mm of ICT's vertices from our surface. Arguments as for `random_heads`."""
    index, skin = measured_vertices(ict, model), skin_triangles(model)
    pairs = random_heads(ict, model, heads, seed, mouth_close)
    return np.stack([closest_points(pair.theirs[index], pair.ours, skin, near=24)[1] * 1000 for pair in pairs])


def skin_triangles(model: HeadModel) -> Ints:
    """Return the triangles (T, 3) of our skin."""
    return np.asarray(model.triangles[model.region_mask(*SKIN)[model.triangles].all(1)], np.int64)


def compare_fronts(ict: Ict, model: HeadModel, heads: int, seed: int) -> dict[str, float]:
    """Compare the fronts of the faces, both ways, by PyTorch3D: chamfer distance and normal consistency."""
    index = measured_vertices(ict, model)
    inside = np.zeros(len(ict.mean), bool)
    inside[index] = True
    triangles = ict.triangles(0, ict.ranges["narrow_face"][1])
    theirs = triangles[inside[triangles].all(1)]
    skin = skin_triangles(model)
    near, distance = closest_points(model.mean[skin].mean(1), ict.mean / 100 - eye_midpoint_m(ict), triangles)
    front = inside[near.corners].all(1) & (distance < SAME_PLACE_M) & ~innermost_rows(model)[skin].any(1)
    pairs = [pair[:2] for pair in random_heads(ict, model, heads, seed, mouth_close=False)]
    return surface_figures(pairs, theirs, skin[front], seed)


def main() -> None:
    """Measure and write the report."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument(
        "--ict", type=Path, default=Path("../shared/data/ict_facekit.npz"), help="ICT-FaceKit as arrays"
    )
    parser.add_argument("--heads", type=int, default=200, help="number of random heads")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random heads")
    options = parser.parse_args()
    ict, model = load_ict(options.ict), HeadModel.load()
    distance = distances_mm(ict, model, options.heads, options.seed, mouth_close=False)
    with_close = distances_mm(ict, model, options.heads, options.seed, mouth_close=True)
    by_pytorch3d = compare_fronts(ict, model, min(options.heads, 20), options.seed) if has_pytorch3d() else {}
    figures = {
        "heads": options.heads,
        "measured_points": distance.shape[1],
        **summary(distance),
        "worst_head_mean_mm": round(float(distance.mean(1).max()), 3),
        "with_mouth_close": summary(with_close),
        **by_pytorch3d,
        "vertices": len(model.mean),
        "triangles": len(model.triangles),
        "identity_components": model.identity_size,
        "explained_variance": round(model.explained_variance, 5),
        "file_bytes": DEFAULT_FILE.stat().st_size,
    }
    save_report(options, __file__, figures, DEFAULT_FILE)
    print(json.dumps(figures, indent=1))


def summary(distance_mm: Floats) -> dict[str, float]:
    """Return the mean and the 99th percentile of distances in mm."""
    return {"mean_mm": round(float(distance_mm.mean()), 3), "p99_mm": round(float(np.percentile(distance_mm, 99)), 3)}


if __name__ == "__main__":
    main()
