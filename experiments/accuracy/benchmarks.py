"""Accuracy on photos the network never saw: the 68 points on three sets, with our own boxes, misses counted.

    python -m experiments.accuracy.benchmarks --eval ../shared/eval [--weights mfn.onnx] [--sheet sheet.png]

Prints the table of the data's README with our row, writes experiments/results/accuracy/accuracy.json. `aligned_nme` and `nme` are those of the
evaluation's own score.py. A picture is missed when no box of ours box_iou the true points' box by a quarter.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np

from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.inference.visualize import draw_faces
from mfn.structures.boxes import box_iou
from mfn.structures.camera import euler_from_rotation, rotation_from_euler
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel

RESULT = Path(__file__).parents[1] / "results" / "accuracy" / "accuracy.json"
SETS = ("aflw2000", "facesynthetics", "youtube68")
FOUND_IOU = 0.25
PEERS = (
    "| MediaPipe Face Landmarker | 2.27 / 3.49 / 7.50 / 2.82 (3.80) | 6 of 48 | 3.16 (4.51) | 2 of 50 | 2.73 (4.02) | 0 of 129 |",
    "| 3DDFA_V2 mb0.5 (given the true box) | 2.24 / 3.38 / 4.60 / 2.82 (3.07) | 0 of 48 | 3.26 (4.28) | 0 of 50 | 2.84 (4.00) | 0 of 129 |",
)


def load_score(folder: Path) -> ModuleType:
    """The evaluation's score.py."""
    path = folder / "score.py"
    spec = importlib.util.spec_from_file_location("score", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not there; give the folder of the evaluation sets with --eval")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_tar(path: Path) -> list[np.ndarray]:
    """Pictures of a tar in the order of their names, RGB uint8."""
    import cv2

    with tarfile.open(path) as tar:
        coded = [tar.extractfile(m).read() for m in sorted(tar.getmembers(), key=lambda m: m.name)]  # type: ignore[union-attr]
    return [cv2.imdecode(np.frombuffer(c, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].copy() for c in coded]


def choose(faces: Faces, true: np.ndarray) -> Faces:
    """Of the faces found in a picture the one that lies on the true points (68, 2), or none."""
    if len(faces) == 0:
        return faces
    box = np.concatenate([true.min(0), true.max(0)])[None]
    shared = box_iou(faces.box, box)[:, 0]
    best = int(shared.argmax())
    return faces[[best]] if shared[best] >= FOUND_IOU else faces[[]]


def measure(name: str, folder: Path, predictor: Predictor, model: HeadModel, score: ModuleType) -> tuple[dict, list]:
    """Scores of one set, and (picture, faces) of each of its pictures, worst first."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
        true = data["landmarks"][:, :68, :2].astype(float)
        pose = data.get("pose", None)
    pictures = read_tar(folder / f"{name}.tar")
    found = [choose(predictor(picture), points) for picture, points in zip(pictures, true, strict=True)]
    predicted = np.full((len(true), 68, 2), np.nan)
    for i, face in enumerate(found):
        if len(face):
            predicted[i] = model.landmarks(face, "ibug68")[0, :, :2]
    raw = score.nme(predicted, true)
    enough = np.isfinite(raw).sum() >= 8  # offsets of 68 points cannot be learned from fewer
    aligned = score.aligned_nme(predicted, true) if enough else np.full(len(true), np.nan)
    result: dict = {"missed": int(np.isnan(raw).sum()), "pictures": len(true)}
    groups = {"all": np.ones(len(true), bool)}
    if pose is not None:
        yaw = np.abs(np.degrees(pose[:, 1]))
        groups |= {"0-30": yaw <= 30, "30-60": (yaw > 30) & (yaw <= 60), "60+": yaw > 60}
        rotation = np.stack([f.rotation[0] if len(f) else np.full((3, 3), np.nan) for f in found])
        result["pose_error_deg"] = pose_error(rotation, pose)
        result["pose_error_all_within_99_deg"] = pose_error(rotation, pose, "all")
    for group, rows in groups.items():
        result[f"aligned_nme {group}"] = mean_of(aligned[rows])
        result[f"nme {group}"] = mean_of(raw[rows])
    order = np.argsort(-np.where(np.isnan(aligned), np.inf, aligned))
    return result, [(pictures[i], found[i]) for i in order]


def mean_of(values: np.ndarray) -> float:
    """Mean of what is not NaN; NaN of nothing."""
    there = values[np.isfinite(values)]
    return round(float(there.mean()), 3) if len(there) else float("nan")


def pose_error(rotation: np.ndarray, pose: np.ndarray, within: str = "yaw") -> dict[str, float]:
    """Mean absolute error in degrees of pitch, yaw, roll, and of the angle between the two rotations.

    rotation: (P, 3, 3), NaN where no face was found; pose: (P, 3) as published. within: whether published "yaw" alone or "all" three
    angles must lie in +-99 degrees. The latter is how the field measures on AFLW2000 (Ruiz et al., CVPRW 2018, section 4.1): beyond it
    one rotation has two triplets that are far from each other.
    """
    limited = np.abs(np.degrees(pose[:, [1]] if within == "yaw" else pose)).max(1) <= 99
    rows = limited & np.isfinite(rotation[:, 0, 0])
    if not rows.any():
        return {}
    gap = np.degrees(np.abs((euler_from_rotation(rotation[rows]) - pose[rows] + np.pi) % (2 * np.pi) - np.pi)).mean(0)
    cosine = (np.einsum("nij,nij->n", rotation[rows], rotation_from_euler(pose[rows])) - 1) / 2
    turn = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())
    values = np.round([*gap, gap.mean(), turn], 2).tolist()
    return {"faces": int(rows.sum())} | dict(zip(("pitch", "yaw", "roll", "mean", "turn"), values, strict=True))


def table(results: dict[str, dict]) -> str:
    """Markdown: aligned (raw) NME in %, and misses."""
    a, f, y = (results[name] for name in SETS)
    groups = " / ".join(f"{a[f'aligned_nme {g}']:.2f}" for g in ("0-30", "30-60", "60+", "all"))
    cells = [f"{groups} ({a['nme all']:.2f})"]
    cells += [f"{a['missed']} of {a['pictures']}"]
    for s in (f, y):
        cells += [f"{s['aligned_nme all']:.2f} ({s['nme all']:.2f})", f"{s['missed']} of {s['pictures']}"]
    head = "| aligned (raw) NME, % | aflw2000 yaw 0–30 / 30–60 / 60+ / all | missed | facesynthetics | missed | youtube68 | missed |"
    return "\n".join([head, "|---" * 7 + "|", *PEERS, f"| **MFN (ours, finds the faces itself)** | {' | '.join(cells)} |"])


def sheet(worst: dict[str, list], model: HeadModel, path: Path, each: int = 12, side: int = 256) -> None:
    """The worst pictures of each set with what was found, for looking at."""
    import cv2

    rows = []
    for pictures in worst.values():
        tiles = [cv2.resize(draw_faces(p, f, model), (side, side)) for p, f in pictures[:each]]
        rows += [np.concatenate(tiles[i : i + 6], 1) for i in range(0, each, 6)]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--eval", type=Path, default=Path("../shared/eval"), help="folder of the evaluation sets")
    parser.add_argument("--weights", default="large", help="small, large or an ONNX file")
    parser.add_argument("--size", help="px the network sees; by default its own")
    parser.add_argument("--score", type=float, default=0.3, help="least score of a face")
    parser.add_argument("--sheet", type=Path, help="PNG of the worst pictures")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    score, model = load_score(args.eval), HeadModel.load()
    model_file = find_model(args.weights)
    width, height = map(int, args.size.split("x")) if args.size else model_file.size
    predictor = Predictor.load(args.weights, size=(width, height), score=args.score)
    measured = {name: measure(name, args.eval, predictor, model, score) for name in SETS}
    results = {name: result for name, (result, _) in measured.items()}
    print(table(results))
    for name in ("pose_error_deg", "pose_error_all_within_99_deg"):
        print(name, "on aflw2000:", results["aflw2000"][name])
    digest = hashlib.sha256(model_file.path.read_bytes()).hexdigest()
    report = {"weights_sha256": digest, "size": [width, height], "score": args.score, "sets": results}
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    if args.sheet:
        sheet({name: worst for name, (_, worst) in measured.items()}, model, args.sheet)


if __name__ == "__main__":
    main()
