"""Measure how far each expression shape moves the skin: ARKit's reference face, ICT-FaceKit, and our head model.

    python -m experiments.head_model.measure.expression_reach --reference arkit_reference.txt --ict ict_facekit.npz \\
        --mediapipe ict_mediapipe478.npz

The reach of a shape is its largest displacement at weight 1, in parts of the width of the face (of MediaPipe's 478 points). Our shapes
were sampled from ICT-FaceKit, so that its reach is that of our head model before `experiments.labels.expression_units` rescaled it. A line
of the reference holds the name of a shape, the displacement in mm and the reach.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, markdown_table, save_report
from experiments.head_model.ict import SKIN_END, load_ict
from experiments.head_model.measure.error import SKIN
from experiments.labels.expression_units import reach_of
from mfn.structures.head_model import DEFAULT_FILE, HeadModel
from retarget.arkit import EXPRESSION_NAMES

RESULT = RESULTS / "head_model" / "measure" / "expression_reach.json"


def read_reference(path: Path) -> dict[str, float]:
    """Return name -> reach of ARKit's shapes.

    Raises:
        ValueError: A shape is missing.
    """
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    reach = {line[0]: float(line[2]) for line in lines}
    missing = [name for name in EXPRESSION_NAMES if name not in reach]
    if missing:
        raise ValueError(f"{path}: expected a line for each of {len(EXPRESSION_NAMES)} shapes, got none for {missing[0]}")
    return reach


def reach(shapes: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the reach (51,) of shapes (51, V, 3) on a face with points (478, 3), in one unit."""
    return np.asarray(np.linalg.norm(shapes, axis=-1).max(1) / np.ptp(points[:, 0]), np.float64)


def reach_of_ict(ict_file: Path, mediapipe_file: Path) -> NDArray[np.float64]:
    """Return the reach (51,) of ICT-FaceKit's shapes on its skin.

    Args:
        ict_file: `ict_facekit.npz`.
        mediapipe_file: `vertex` (478, 3) and `weight` (478, 3) of MediaPipe's points on its mesh.
    """
    ict = load_ict(ict_file)
    with np.load(mediapipe_file, allow_pickle=False) as at:
        points = (ict.mean[at["vertex"]] * at["weight"][..., None]).sum(1)
    return reach(ict.expression[:, :SKIN_END], points)


def reach_of_model(model: HeadModel) -> NDArray[np.float64]:
    """Return the reach (51,) of our shapes on the skin."""
    return reach(model.expression_basis[:, model.region_mask(*SKIN)], model.landmark_basis("mediapipe478").mean)


def figures_of(reference: dict[str, float], ict: NDArray[np.float64], ours: NDArray[np.float64]) -> Figures:
    """Return the reach of ARKit's shapes and those of ICT-FaceKit (51,) and of ours (51,) relative to them."""
    rows = {
        name: {"arkit": reference[name], "ict": round(a / reference[name], 2), "ours": round(b / reference[name], 2)}
        for name, a, b in zip(EXPRESSION_NAMES, ict.tolist(), ours.tolist(), strict=True)
    }
    rescaled = [row for name, row in rows.items() if reach_of(name) is not None]
    off = {key: round(float(np.mean([abs(row[key] - 1) for row in rescaled])), 3) for key in ("ict", "ours")}
    return {"rescaled": len(rescaled), "mean_off_of_rescaled": off, "shapes": rows}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--reference", type=Path, required=True, help="text file of the reach of ARKit's shapes")
    parser.add_argument("--ict", type=Path, required=True, help="ict_facekit.npz")
    parser.add_argument("--mediapipe", type=Path, required=True, help="ict_mediapipe478.npz")
    args = parser.parse_args()
    ict, ours = reach_of_ict(args.ict, args.mediapipe), reach_of_model(HeadModel.load())
    figures = figures_of(read_reference(args.reference), ict, ours)
    print(markdown_table(["shape", "ARKit", "ICT", "ours"], [[name, *row.values()] for name, row in figures["shapes"].items()]))
    save_report(args, __file__, figures, DEFAULT_FILE)


if __name__ == "__main__":
    main()
