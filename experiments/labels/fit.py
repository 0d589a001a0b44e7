"""Labels for training: pose, identity, expression of our head model for each face of the packs, fitted to the
teacher's landmarks.

    python -m experiments.labels.fit --data ../shared/data --out labels [--source lfw --source youtube] [--landmarker face_landmarker.task]

The packs hold one look of the teacher at each face. With --landmarker faces turned to the side are looked at a dozen times more, upright,
turned, mirrored and enlarged, and the median is fitted; seven of them a second. Give it an --out of its own: labels that are there already
stay as they are.

Writes one SOURCE.npz per pack: `face (F,)` row in the pack's face arrays, `rotation (F, 3, 3)`, `scale (F,)` px per
metre, `center (F, 2)` px, `identity (F, I)` standard deviations, `expression (F, 51)` in [0, 1], `box (F, 4)` px
(`mfn.structures.head_model.face_box`), `residual (F,)` %, `ok (F,)`, `person (F,)` (-1 unknown;
one person's faces share one identity), `confidence (F,)` in [0, 1] and `head_model`, the fingerprint of the model they belong to
(coefficients mean nothing with another one). A source that is already there with this fingerprint is skipped. Figures
go to `--report`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from mfn.fitting.blendshape_calibration import scores_to_expression
from mfn.fitting.fitter import FitBasis, FitResult, basis_from_head_model, fit_people, fit_to_faces, label_confidence
from mfn.fitting.landmarker import HARD_VIEWS, VIEWS, Landmarker, LandmarkResult, consensus
from mfn.structures.camera import FRONTAL, project
from mfn.structures.head_model import HeadModel
from mfn.training.data.packs import read_pictures
from retarget.io.files import atomic_write

Arrays = dict[str, NDArray]
BLOCK = 512
TURNED = 22.0  # degrees of yaw, from which on one look of the teacher is not enough
NAMED = {"lfw": "/", "youtube": "_", "expressions": "_"}  # packs whose picture names begin with the person's, and what ends that


def read_pack(data: Path, source: str) -> tuple[Arrays, torch.Tensor, torch.Tensor]:
    """The pack's arrays, its landmarks (F, 478, 3) px and the teacher's expression (F, 51)."""
    path = data / "faces" / f"{source}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pack; give --data the folder that holds faces/SOURCE.npz")
    with np.load(path, allow_pickle=False) as file:
        pack = {name: file[name] for name in file.files}
    names = (data / "mediapipe_blendshapes.txt").read_text().split()
    points = pack["face_landmarks"].astype(np.float32) * pack["landmark_scale"]
    teacher = scores_to_expression(pack["face_blendshapes"].astype(np.float32) / 255, names)
    return pack, torch.from_numpy(points), torch.from_numpy(teacher)


def look_again(pack: Arrays, pictures: Path, points: torch.Tensor, teacher: torch.Tensor, landmarker: Landmarker) -> tuple[int, float]:
    """Puts what several looks at the faces turned past TURNED agree on into `points`, `teacher` and the pack's poses, in place.

    pictures: the pack's .tar. -> how many faces, and by how much the median one's points moved, % of its size
    """
    poses = teacher_rotation(pack["face_transform"]).numpy()
    yaw = np.degrees(np.arctan2(np.abs(poses[:, 0, 2]), np.abs(poses[:, 2, 2])))
    rows = np.flatnonzero(yaw > TURNED)
    photos, moved = read_pictures(pictures), []
    for row in tqdm(rows, desc=pictures.stem, unit="face"):
        before = points[row].numpy()
        box = np.concatenate([before[:, :2].min(0), before[:, :2].max(0)])
        seen = landmarker.detect_in_views(photos[pack["face_picture"][row]], box, (*VIEWS, *HARD_VIEWS))
        if len(seen.points) == 0:
            continue
        scores = scores_to_expression(seen.scores, landmarker.names)
        looks = [before[None], seen.points], [teacher[row].numpy()[None], scores], [poses[row][None], seen.rotation]
        one, _ = consensus(LandmarkResult(*(np.concatenate(part) for part in looks)))
        moved.append(np.linalg.norm((one.points[0] - before)[:, :2], axis=1).mean() / np.sqrt((box[2:] - box[:2]).prod()) * 100)
        points[row], teacher[row] = torch.from_numpy(one.points[0]), torch.from_numpy(one.scores[0])
        pack["face_transform"][row, :3, :3] = FRONTAL @ one.rotation[0]
    return len(moved), float(np.median(moved)) if moved else 0.0


def people_of(pack: Arrays, source: str, points: torch.Tensor) -> torch.Tensor:
    """(F,) which person each face is, -1 unknown. A picture bears the name of its largest face; the others are unknown."""
    if source not in NAMED:
        return torch.full((len(points),), -1)
    names = np.array([str(name).rpartition(NAMED[source])[0] for name in pack["picture_name"]])
    _, number = np.unique(names, return_inverse=True)
    person = number[pack["face_picture"]]
    size = (points[..., :2].amax(1) - points[..., :2].amin(1)).prod(1).numpy()
    order = np.lexsort((-size, pack["face_picture"]))
    first = np.ones(len(order), bool)
    first[1:] = pack["face_picture"][order][1:] != pack["face_picture"][order][:-1]
    person[order[~first]] = -1
    return torch.from_numpy(person)


def fit_pack(points: torch.Tensor, teacher: torch.Tensor, person: torch.Tensor, basis: FitBasis, title: str) -> FitResult:
    """`fit_people` in blocks that keep people together, with a progress bar; rows in the pack's order."""
    order = torch.argsort(person, stable=True)
    cuts, start = [], 0
    while start < len(order):
        end = min(start + BLOCK, len(order))
        while end < len(order) and person[order[end]] >= 0 and person[order[end]] == person[order[end - 1]]:
            end += 1
        cuts.append(order[start:end])
        start = end
    parts = [fit_people(points[rows], teacher[rows], person[rows], basis) for rows in tqdm(cuts, desc=title, unit="block")]
    found = FitResult(*(torch.cat([getattr(p, name) for p in parts]) for name in FitResult.__dataclass_fields__))
    return found[torch.argsort(order)]


def teacher_rotation(transform: NDArray) -> torch.Tensor:
    """MediaPipe's metric pose (F, 4, 4) -> its rotation (F, 3, 3), head to our camera."""
    u, _, vt = np.linalg.svd(transform[:, :3, :3].astype(np.float64))
    return torch.from_numpy((FRONTAL @ u @ vt).astype(np.float32))


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


def labels_of(found: FitResult, points: torch.Tensor, pack: Arrays, model: HeadModel) -> Arrays:
    """What is written for one pack."""
    out = {name: getattr(found, name).numpy() for name in FitResult.__dataclass_fields__}
    out["box"] = fit_to_faces(found, model).box
    ok, sure = label_confidence(found, points, teacher_rotation(pack["face_transform"]))
    out["ok"], out["confidence"] = ok.numpy(), sure.numpy()
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
    atomic_write(path, lambda temporary: np.savez_compressed(temporary, **arrays))


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
    parser.add_argument("--landmarker", type=Path, help="MediaPipe's .task file: look again at faces turned to the side")
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
    mark = fingerprint(model)
    figures: dict[str, dict[str, float]] = {}
    for source in options.source or every:
        path = options.out / f"{source}.npz"
        if done(path, mark):
            print(f"{source}: {path} is there, skipped")
            continue
        pack, points, teacher = read_pack(options.data, source)
        again = (0, 0.0)
        if options.landmarker:
            with Landmarker(options.landmarker) as landmarker:
                again = look_again(pack, options.data / "faces" / f"{source}.tar", points, teacher, landmarker)
        start = time.perf_counter()
        found = fit_pack(points, teacher, people_of(pack, source, points), basis, source)
        rate = len(points) / (time.perf_counter() - start) * 60
        labels = labels_of(found, points, pack, model) | {"person": people_of(pack, source, points).numpy().astype(np.int32)}
        write(path, labels | {"head_model": np.array(mark)})
        residual, overlap = labels["residual"], box_overlap(labels["box"], pack)
        figures[source] = {
            "faces": len(residual),
            "looked_at_again": again[0],
            "moved_percent_median": round(again[1], 3),
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
