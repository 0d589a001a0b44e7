"""Labels for training: pose, identity, expression of our head model for each face of the packs, fitted to the
teacher's landmarks.

    python experiments/fit_labels.py --data ../shared/data --out labels [--source lfw --source youtube]

Writes one SOURCE.npz per pack: `face (F,)` row in the pack's face arrays, `rotation (F, 3, 3)`, `scale (F,)` px per
metre, `center (F, 2)` px, `identity (F, I)` standard deviations, `expression (F, 51)` in [0, 1], `box (F, 4)` px
(`mfn.mediapipe.face_box`), `residual (F,)` %, `ok (F,)` and `head_model`, the fingerprint of the model they belong to
(coefficients mean nothing with another one). A source that is already there with this fingerprint is skipped. Figures
go to `--report`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mfn.camera import project
from mfn.fitting import Fit, FitBasis, FitOptions, basis_from_head_model, fit, fitted_points
from mfn.head_model import HeadModel
from mfn.mediapipe import face_box, teacher_expression
from retarget.arkit import EXPRESSION_NAMES

Arrays = dict[str, NDArray]
BLOCK = 512
RESIDUAL_LIMIT = 2.5  # %; what lies above are hands before faces and slips of the teacher
IDENTITY_LIMIT = 4.5  # standard deviations
ANGLE_LIMIT_DEG = 15.0  # to the teacher's own pose
SMALLEST_PX = 20.0  # height of the landmarks


def read_pack(data: Path, source: str) -> tuple[Arrays, torch.Tensor, torch.Tensor]:
    """The pack's arrays, its landmarks (F, 478, 3) px and the teacher's expression (F, 51)."""
    path = data / "faces" / f"{source}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pack; give --data the folder that holds faces/SOURCE.npz")
    with np.load(path, allow_pickle=False) as file:
        pack = {name: file[name] for name in file.files}
    names = (data / "mediapipe_blendshapes.txt").read_text().split()
    points = pack["face_landmarks"].astype(np.float32) * pack["landmark_scale"]
    teacher = teacher_expression(pack["face_blendshapes"].astype(np.float32) / 255, names)
    return pack, torch.from_numpy(points), torch.from_numpy(teacher)


def mirror_points(data: Path) -> torch.Tensor:
    """Number of each of the 478 points' twin on the other side, from MediaPipe's mean face (which has no irises)."""
    lines = (data / "canonical_face_model.obj").read_text().splitlines()
    mean = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], np.float64)
    gap = np.linalg.norm(mean[:, None] * (-1, 1, 1) - mean[None], axis=2)
    irises = [473, 476, 475, 474, 477, 468, 471, 470, 469, 472]
    return torch.tensor([*gap.argmin(1).tolist(), *irises])


def at_rest(teacher: torch.Tensor) -> torch.Tensor:
    """Faces whose mouth and brows the teacher sees at rest. teacher (F, 51) -> (F,) bool."""
    mouth = [i for i, n in enumerate(EXPRESSION_NAMES) if n.startswith(("mouth", "jaw"))]
    brows = [i for i, n in enumerate(EXPRESSION_NAMES) if n.startswith("brow")]
    return (teacher[:, mouth].sum(1) < 0.6) & (teacher[:, brows].sum(1) < 0.4)


def learn_offsets(data: Path, sources: list[str], basis: FitBasis, each: int = 600, rounds: int = 3) -> torch.Tensor:
    """Where on the head the teacher puts each point of real faces: (478, 3) metres to add to the basis' mean.

    From faces at rest with their expression held at the teacher's; the median over near-frontal ones, alike on both
    sides. Without it every resting brow would come out lowered.
    """
    resting = []
    for source in sources:
        _, found, expected = read_pack(data, source)
        calm = at_rest(expected)
        resting.append((found[calm][:each], expected[calm][:each]))
    points, teacher = (torch.cat(part) for part in zip(*resting))
    mirror, flip, in_plane = mirror_points(data), torch.tensor([-1.0, 1.0, 1.0]), torch.tensor([1.0, 1.0, 0.0])
    total = torch.zeros_like(basis.mean)
    for _ in tqdm(range(rounds), desc="where the points lie"):
        moved = replace(basis, mean=basis.mean + total)
        found = fit(points, teacher, moved, FitOptions(prior_sigma=0.2))
        gap = points[..., :2] - fitted_points(moved, found)
        on_head = (gap / found.scale[:, None, None]) @ found.rotation[:, :2]
        median = on_head[found.rotation[:, 2, 2] < -0.94].median(0).values * in_plane
        total += (median + median[mirror] * flip) / 2
    return total


def fit_pack(points: torch.Tensor, teacher: torch.Tensor, basis: FitBasis, title: str) -> Fit:
    """`fit` in blocks, with a progress bar."""
    blocks = tqdm(range(0, len(points), BLOCK), desc=title, unit="block")
    parts = [fit(points[i : i + BLOCK], teacher[i : i + BLOCK], basis) for i in blocks]
    return Fit(*(torch.cat([getattr(p, name) for p in parts]) for name in Fit.__dataclass_fields__))


def plausible(found: Fit, points: torch.Tensor, transform: NDArray) -> NDArray[np.bool_]:
    """(F,) bool: small residual, a likely identity, near the teacher's own pose, not too small."""
    teacher = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ torch.from_numpy(transform[:, :3, :3])
    cosine = ((found.rotation * teacher).sum((1, 2)) / (teacher.norm(dim=(1, 2)) / 3**0.5) - 1) / 2
    angle_deg = torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
    height = points[..., 1].amax(1) - points[..., 1].amin(1)
    likely = (found.residual < RESIDUAL_LIMIT) & (found.identity.abs().amax(1) < IDENTITY_LIMIT)
    return (likely & (angle_deg < ANGLE_LIMIT_DEG) & (height > SMALLEST_PX)).numpy()


def box_overlap(box: NDArray, pack: Arrays) -> NDArray:
    """IoU of each face's box with the best of YuNet's in its picture; faces YuNet lacks (below 0.3) are left out."""
    yunet = pack["box"].astype(np.float32) * pack["box_scale"]
    best = []
    for mine, picture in zip(box, pack["face_picture"]):
        theirs = yunet[pack["box_picture"] == picture]
        low, high = np.maximum(mine[:2], theirs[:, :2]), np.minimum(mine[2:], theirs[:, 2:])
        both = np.clip(high - low, 0, None).prod(1)
        best.append(
            (both / ((mine[2:] - mine[:2]).prod() + (theirs[:, 2:] - theirs[:, :2]).prod(1) - both)).max(initial=0)
        )
    return np.array([b for b in best if b >= 0.3])


def labels_of(found: Fit, points: torch.Tensor, pack: Arrays, model: HeadModel) -> Arrays:
    """What is written for one pack."""
    out = {name: getattr(found, name).numpy() for name in Fit.__dataclass_fields__}
    head = model.landmark_basis("mediapipe478")
    shape = np.concatenate([out["identity"], out["expression"]], 1)
    surface = head[0] + np.tensordot(shape, np.concatenate(head[1:]), 1)
    out["box"] = face_box(project(surface, out["rotation"], out["scale"], out["center"]))
    out["ok"] = plausible(found, points, pack["face_transform"])
    out["face"] = np.arange(len(points), dtype=np.int32)
    out["identity"], out["expression"] = out["identity"].astype(np.float16), out["expression"].astype(np.float16)
    return out


def fingerprint(model: HeadModel) -> str:
    """Changes whenever a coefficient would mean something else."""
    digest = hashlib.sha256()
    for part in (model.mean, model.identity_basis, model.expression_basis):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]


def done(path: Path, mark: str) -> bool:
    """True if `path` holds what was made with the head model of this fingerprint."""
    if not path.is_file():
        return False
    with np.load(path, allow_pickle=False) as file:
        return "head_model" in file.files and str(file["head_model"]) == mark


def compare68(data: Path, score_file: Path, labels: Arrays, model: HeadModel) -> dict[str, float]:
    """NME of the head's 68 points in the youtube pack against the pack's machine-made ones, with eval/score.py."""
    spec = importlib.util.spec_from_file_location("score", score_file)
    if spec is None or spec.loader is None or not score_file.is_file():
        raise FileNotFoundError(f"{score_file}: expected the scores of ../shared/eval/score.py")
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    pack, _, _ = read_pack(data, "youtube")
    with np.load(data / "faces" / "youtube_landmarks68.npz") as file:
        true_of = dict(zip(file["picture"].tolist(), file["landmarks"].astype(np.float64)))
    true = np.stack([true_of[p] for p in pack["face_picture"][labels["face"]]])
    mean, identity, expression = model.landmark_basis("ibug68")
    shape = np.concatenate([labels["identity"], labels["expression"]], 1).astype(np.float32)
    head = mean + np.tensordot(shape, np.concatenate([identity, expression]), 1)
    mine = project(head, labels["rotation"], labels["scale"], labels["center"])
    raw = score.nme(mine, true)
    same = raw < 15  # a picture's second face has no 68 points of its own
    aligned = score.aligned_nme(mine[same], true[same])
    return {"faces": int(same.sum()), "nme68": round(raw[same].mean(), 3), "aligned_nme68": round(aligned.mean(), 3)}


def write(path: Path, arrays: Arrays) -> None:
    """Whole or not at all."""
    unfinished = path.with_suffix(".unfinished.npz")
    np.savez_compressed(unfinished, **arrays)
    os.replace(unfinished, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with faces/, mediapipe_blendshapes.txt, canonical_face_model.obj",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the labels")
    parser.add_argument("--source", action="append", help="one pack (may be repeated); default: all that hold faces")
    parser.add_argument("--report", type=Path, help="JSON of figures to write")
    parser.add_argument("--score", type=Path, help="eval/score.py: also compare the youtube pack's 68 points")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    every = [p.stem for p in sorted((options.data / "faces").glob("*.npz")) if "landmarks68" not in p.stem]
    every = [s for s in every if len(read_pack(options.data, s)[1])]
    model = HeadModel.load()
    basis = basis_from_head_model(model)
    offsets = options.out / "offsets.npz"
    mark = fingerprint(model)
    if not done(offsets, mark):
        learned = learn_offsets(options.data, every, basis).numpy()
        write(offsets, {"offset": learned, "head_model": np.array(mark)})
    basis = replace(basis, mean=basis.mean + torch.from_numpy(np.load(offsets)["offset"]))
    figures: dict[str, dict[str, float]] = {}
    for source in options.source or every:
        path = options.out / f"{source}.npz"
        if done(path, mark):
            print(f"{source}: {path} is there, skipped")
            continue
        pack, points, teacher = read_pack(options.data, source)
        start = time.perf_counter()
        found = fit_pack(points, teacher, basis, source)
        rate = len(points) / (time.perf_counter() - start) * 60
        labels = labels_of(found, points, pack, model)
        write(path, labels | {"head_model": np.array(mark)})
        residual, overlap = labels["residual"], box_overlap(labels["box"], pack)
        figures[source] = {
            "faces": len(residual),
            "ok": int(labels["ok"].sum()),
            "nme_percent_mean": round(float(residual.mean()), 3),
            "nme_percent_p95": round(float(np.quantile(residual, 0.95)), 3),
            "faces_per_minute": round(rate),
            "box_iou_median": round(float(np.median(overlap)), 4),
        }
        print(source, json.dumps(figures[source]))
    if options.score:
        labels = dict(np.load(options.out / "youtube.npz"))
        figures["youtube 68 points"] = compare68(options.data, options.score, labels, model)
        print("youtube 68 points", json.dumps(figures["youtube 68 points"]))
    if options.report:
        options.report.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
