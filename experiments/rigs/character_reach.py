"""Measure how far the shapes of our characters move, beside another rig, and how well their lids close.

    python -m experiments.rigs.character_reach --rig other.glb

Reach is the largest displacement of a vertex at weight 1, in parts of the distance between the eyes. It counts the vertices that a frontal
view shows, at rest or with the tongue out. Lids are measured in the same
view: the visible share of both eyeballs at a weight of eyeBlink, relative to rest. Without --rig only our characters are measured.
The script writes experiments/results/rigs/character_reach.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, markdown_table, save_report
from retarget.animation.pose import pose_vertices
from retarget.arkit import ARKIT_NAMES
from retarget.render.rasterizer import nearest_triangles
from retarget.rig.avatars import AVATAR_NAMES
from retarget.rig.load import load_rig
from retarget.rig.rig import Rig
from retarget.rig.skinned_mesh import LEFT_EYE, RIGHT_EYE

RESULT = RESULTS / "rigs" / "character_reach.json"
BLINKS = (0.0, 0.5, 0.7, 0.85, 1.0)
PX_PER_EYE_DISTANCE = 60
VIEW_EYE_DISTANCES = 4.0
_MIN_EYE_WEIGHT = 0.5


def posed(rig: Rig, coefficients: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the vertices (N, V, 3) of a rig for coefficients (N, 52), upright, with the eyes' middle at the origin."""
    count = len(coefficients)
    return pose_vertices(rig, coefficients, np.tile([0.0, 0, 0, 1], (count, 1)), np.zeros((count, 3)))


def eye_distance_m(rig: Rig) -> float:
    """Return the distance between the eye joints in meters of the posed rig.

    Raises:
        ValueError: The rig has no eye joints.
    """
    if rig.eyes is None:
        raise ValueError(f"{rig.name}: expected a rig with two eye joints, because their distance is the unit")
    left, right = rig.world[list(rig.eyes), :3, 3]
    return float(np.linalg.norm(left - right)) * rig.scale


def one_hot(name: str) -> NDArray[np.float32]:
    """Return coefficients (1, 52) with one shape at weight 1."""
    return np.eye(len(ARKIT_NAMES), dtype=np.float32)[[ARKIT_NAMES.index(name)]]


def nearest_in_view(rig: Rig, vertices: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the numbers of the triangles (P,) that a frontal view of the head shows, one for each pixel."""
    scale, size = PX_PER_EYE_DISTANCE / eye_distance_m(rig), round(PX_PER_EYE_DISTANCE * VIEW_EYE_DISTANCES)
    points = vertices * (scale, -scale, -scale) + (size / 2, size * 0.4, 0)
    triangle, _ = nearest_triangles(points, rig.mesh.triangles, size, size)
    return np.asarray(triangle[triangle >= 0], np.int64)


def reach(rig: Rig) -> dict[str, float]:
    """Return the largest displacement of each ARKit shape at weight 1, in eye distances."""
    rest, tongue = posed(rig, np.zeros((1, len(ARKIT_NAMES)), np.float32))[0], posed(rig, one_hot("tongueOut"))[0]
    shown = np.concatenate([nearest_in_view(rig, rest), nearest_in_view(rig, tongue)])
    seen, unit = np.unique(rig.mesh.triangles[shown]), eye_distance_m(rig)
    moved = {name: posed(rig, one_hot(name))[0] - rest for name in ARKIT_NAMES}
    return {name: round(float(np.linalg.norm(move[seen], axis=1).max()) / unit, 3) for name, move in moved.items()}


def visible_eyes(rig: Rig) -> dict[str, float]:
    """Return the visible share of the eyeballs for each weight of `BLINKS`, relative to rest."""
    blink = one_hot("eyeBlinkLeft") + one_hot("eyeBlinkRight")
    ball = (rig.mesh.group_weights[:, [LEFT_EYE, RIGHT_EYE]].sum(1) > _MIN_EYE_WEIGHT)[rig.mesh.triangles[:, 0]]
    pixels = [
        int(ball[nearest_in_view(rig, vertices)].sum()) for vertices in posed(rig, np.array(BLINKS)[:, None] * blink)
    ]
    return {f"{blink:g}": round(count / max(pixels[0], 1), 3) for blink, count in zip(BLINKS, pixels, strict=True)}


def measure(rigs: Sequence[Rig]) -> Figures:
    """Return the figures of all rigs, by name."""
    return {rig.name: {"reach": reach(rig), "visible_eyes": visible_eyes(rig)} for rig in rigs}


def print_tables(figures: Figures) -> None:
    """Print one table of reaches and one of lids."""
    names = list(figures)
    print(
        markdown_table(["shape", *names], [[s, *(f"{figures[n]['reach'][s]:.3f}" for n in names)] for s in ARKIT_NAMES])
    )
    blinks = [f"{blink:g}" for blink in BLINKS]
    print(markdown_table(["eyeBlink", *blinks], [[n, *(figures[n]["visible_eyes"][b] for b in blinks)] for n in names]))


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--rig", type=Path, action="append", default=[], help="another rig to compare with")
    parser.add_argument("--folder", type=Path, help="folder of our characters (default: avatars)")
    args = parser.parse_args()
    own = AVATAR_NAMES if args.folder is None else [args.folder / f"{name}.glb" for name in AVATAR_NAMES]
    figures = measure([load_rig(path) for path in (*own, *args.rig)])
    print_tables(figures)
    save_report(args, __file__, figures)


if __name__ == "__main__":
    main()
