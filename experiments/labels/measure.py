"""How good the fitter's labels are, from pictures alone: accuracy, identity, expression. (experiments/speed/engine.py: how quick.)

    python -m experiments.labels.measure --shared ../shared --out experiments/results/labels/fitting.json [--part accuracy]

The evaluation sets are only measured on; what the fitter has learned is from the training packs (experiments/labels/learn_teacher.py). Distances
between identities are those of the neutral faces they make: root mean square over the face's vertices, mm.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.accuracy.benchmarks import SETS, load_score, mean_of, read_tar
from experiments.labels.fit import people_of, read_pack
from mfn.fitting.blendshape_calibration import scores_to_expression
from mfn.fitting.fitter import FitBasis, FitResult, basis_from_head_model, fit, fit_people, fit_to_faces
from mfn.fitting.landmarker import VIEWS, Landmarker, LandmarkResult, blend_with_network, detect_faces
from mfn.inference.model_zoo import MODELS
from mfn.inference.model_zoo import SINGLE_FACE_WEIGHTS as SFN
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.boxes import box_iou
from mfn.structures.camera import euler_from_rotation, rotation_from_euler
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write

Figures = dict[str, object]
FOUND_IOU = 0.25
MEASURED = 150  # people of a pack, the first ones; the others may be learned from (experiments/labels/learn_people.py)
PEOPLE = 40  # of them of the youtube pack, whose frames are halved
# rows of the expressions pack, chosen by eye: both eyes shut, both open; a broad smile, none
SHUT = (1383, 94, 352, 1402, 103, 2255, 1438, 1536, 1497, 705, 1800, 888)
OPEN = (1531, 209, 1596, 1522, 257, 404, 3, 1185, 986, 568, 962, 1347, 738, 1488, 322, 1104, 443, 655)
SMILING = (576, 1796, 1110, 1143, 1688, 558, 1299, 679, 143, 414, 1526, 2129, 1151, 370, 1735, 1384, 1336, 41, 695, 671, 771, 142, 1206)
NOT_SMILING = (1034, 1568, 404, 1596, 209, 3, 1185, 1347, 1635, 593, 986, 395, 1493, 605, 2019, 2182, 1104, 1462, 148, 1844, 103, 352)
# heads of known parameters: what is moved, what must stay at rest, and which errors could go together
MOVED = ("jawOpen", "browInnerUp", "eyeBlinkLeft", "mouthSmileLeft")
AT_REST = ("mouthClose", "browOuterUpLeft", "eyeLookDownLeft")
CONFUSED = (("jawOpen", "chin_by_identity_mm"), ("jawOpen", "pitch_deg"), ("browInnerUp", "pitch_deg"))
CHIN = 152  # of MediaPipe's points
TASK = "face_landmarker_v2_with_blendshapes.task"


class Bench:
    """What every measurement needs: the shared folder, the model, the basis."""

    def __init__(self, shared: Path) -> None:
        self.shared, self.model = shared, HeadModel.load()
        self.basis: FitBasis = basis_from_head_model(self.model)
        face = self.model.region_mask("face", "lids", "lips", "brows") & (self.model.mean[:, 2] > -0.03)
        self.face_basis = self.model.identity_basis[:, face].reshape(self.model.identity_size, -1)

    def landmarker(self) -> Landmarker:
        """The teacher."""
        return Landmarker(self.shared / "data" / TASK)

    def apart_mm(self, a: NDArray, b: NDArray) -> NDArray:
        """Distance of identities (N, I) and (N, I): (N,) mm."""
        moved = (np.asarray(a) - np.asarray(b)) @ self.face_basis
        return np.sqrt((moved**2).sum(1) / (moved.shape[1] / 3)) * 1000


def points68(found: FitResult, model: HeadModel) -> NDArray:
    """The head's 68 points in the picture, (N, 68, 2) px."""
    return model.landmarks(fit_to_faces(found, model), "ibug68")[..., :2]


def seen_on(seen: LandmarkResult, true: NDArray) -> int | None:
    """Which of the faces that the teacher saw lies on the true points (68, 2), or None."""
    own = np.concatenate([seen.points[..., :2].min(1), seen.points[..., :2].max(1)], 1).reshape(-1, 4)
    shared = box_iou(own, np.concatenate([true.min(0), true.max(0)])[None])[:, 0]
    return int(shared.argmax()) if len(shared) and shared.max() >= FOUND_IOU else None


def fit_set(
    bench: Bench, name: str, landmarker: Landmarker, networks: tuple[Predictor, SingleFace], looks: bool
) -> tuple[NDArray, NDArray]:
    """Predicted and true 68 points of an evaluation set; NaN where the face was missed."""
    folder = bench.shared / "eval"
    with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
        true = data["landmarks"][:, :68, :2].astype(float)
    points, scores, rows = [], [], []
    for i, picture in enumerate(read_tar(folder / f"{name}.tar")):
        faces = networks[1].refine(picture, networks[0](picture)) if looks else None
        boxes = faces.box if faces is not None else np.zeros((0, 4), np.float32)
        seen, _ = detect_faces(picture, landmarker, boxes, VIEWS if looks else ())
        if faces is not None:
            seen = blend_with_network(seen, faces, bench.model, landmarker.names)
        face = seen_on(seen, true[i])
        if face is not None:
            points.append(seen.points[face])
            scores.append(seen.scores[face])
            rows.append(i)
    teacher = torch.from_numpy(scores_to_expression(np.stack(scores), landmarker.names))
    predicted = np.full((len(true), 68, 2), np.nan)
    predicted[rows] = points68(fit(torch.from_numpy(np.stack(points)), teacher, bench.basis), bench.model)
    return predicted, true


def accuracy(bench: Bench) -> Figures:
    """Aligned and raw NME on the three sets, with one look of the teacher, and with several and our networks' opinion.

    Looked at: past 60 degrees of yaw three of nine pictures, turned to 80 degrees and more or nodding far, err by 8 to 9 %, as their pose
    is read 10 to 30 degrees short; the others by 3.9. SFN's looks at the face upright, or mirrored, read them no better (5.39 to 5.47).
    """
    score, out = load_score(bench.shared / "eval"), {}
    networks = Predictor.load("large", score=0.4, threads=1), SingleFace.load(threads=1)
    out["networks_sha256"] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (MODELS["large"].path, SFN)}
    with bench.landmarker() as landmarker:
        for look, several in (("one look", False), ("several looks and our networks", True)):
            for name in SETS:
                predicted, true = fit_set(bench, name, landmarker, networks, several)
                aligned, raw = score.aligned_nme(predicted, true), score.nme(predicted, true)
                result: Figures = {"aligned_nme": mean_of(aligned), "nme": mean_of(raw), "missed": int(np.isnan(raw).sum())}
                if name == "aflw2000":
                    yaw = np.abs(np.degrees(np.load(bench.shared / "eval" / "aflw2000.npz")["pose"][:, 1]))
                    bins = {"0-30": yaw <= 30, "30-60": (yaw > 30) & (yaw <= 60), "60+": yaw > 60}
                    result |= {f"aligned_nme {key}": mean_of(aligned[rows]) for key, rows in bins.items()}
                out[f"{name}, {look}"] = result
    return out


def pairs_of(person: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Rows of two faces of each person (N, 2), and of two different people (N, 2)."""
    order = rng.permutation(np.flatnonzero(person >= 0))
    first: dict[int, int] = {}
    same = [(first[p], i) for i in order for p in [int(person[i])] if first.setdefault(p, i) != i]
    _, only = np.unique([person[a] for a, _ in same], return_index=True)
    pairs = np.array(same)[only]
    return pairs, np.stack([pairs[:, 0], np.roll(pairs[:, 1], 1)], 1)


def consistency(bench: Bench, most: int = MEASURED) -> Figures:
    """Same-person distance over different-person distance, each face fitted alone, and people's halves fitted jointly (youtube)."""
    out: Figures = {}
    for source in ("lfw", "youtube"):
        pack, points, teacher = read_pack(bench.shared / "data", source)
        person = people_of(pack, source, points).numpy()
        same, different = (pairs[:most] for pairs in pairs_of(person, np.random.default_rng(0)))
        rows = np.unique(same)
        identity = np.zeros((len(points), bench.model.identity_size), np.float32)
        identity[rows] = fit(points[rows], teacher[rows], bench.basis).identity.numpy()
        out[f"{source}, alone"] = _ratio(bench, identity, same, different)
        if source == "youtube":
            half = np.where(person >= 0, person * 2 + np.random.default_rng(1).integers(0, 2, len(person)), -1)
            chosen = np.flatnonzero((person >= 0) & (person < PEOPLE))
            found = fit_people(points[chosen], teacher[chosen], torch.from_numpy(half[chosen]), bench.basis).identity.numpy()
            halves = [[np.flatnonzero(half[chosen] == 2 * p + side)[:1] for side in (0, 1)] for p in range(PEOPLE)]
            kept = np.array([[int(a[0]), int(b[0])] for a, b in halves if len(a) and len(b)])
            out["youtube, halves of a person's frames"] = _ratio(bench, found, kept, np.stack([kept[:, 0], np.roll(kept[:, 1], 1)], 1))
    return out


def _ratio(bench: Bench, identity: NDArray, same: NDArray, different: NDArray) -> Figures:
    near = bench.apart_mm(identity[same[:, 0]], identity[same[:, 1]])
    far = bench.apart_mm(identity[different[:, 0]], identity[different[:, 1]])
    wrong = float((near[:, None] > far[None]).mean())
    values = {"same_mm": near.mean(), "different_mm": far.mean(), "ratio": near.mean() / far.mean(), "auc": 1 - wrong}
    return {"pairs": len(same)} | {key: round(float(value), 3) for key, value in values.items()}


def leakage(bench: Bench, every: int = 6) -> Figures:
    """Variance of the fitted identity along clip d0, each frame fitted alone, over the variance between people (lfw, fitted alone)."""
    import cv2

    clip = cv2.VideoCapture(str(bench.shared / "eval" / "clips" / "d0.mp4"))
    points, scores, number = [], [], 0
    with bench.landmarker() as landmarker:
        while (read := clip.read())[0]:
            number += 1
            if number % every == 1:
                seen = landmarker(read[1][..., ::-1], single=True)
                points += list(seen.points)
                scores += list(seen.scores)
        names = landmarker.names
    teacher = torch.from_numpy(scores_to_expression(np.stack(scores), names))
    along = fit(torch.from_numpy(np.stack(points)), teacher, bench.basis)
    pack, others, expected = read_pack(bench.shared / "data", "lfw")
    between = fit(others[:120], expected[:120], bench.basis).identity.numpy()
    spread = [float(np.mean(bench.apart_mm(x, x.mean(0, keepdims=True)) ** 2)) for x in (along.identity.numpy(), between)]
    moves = along.expression.numpy()
    return {
        "frames": len(points),
        "identity_sd_along_mm": round(spread[0] ** 0.5, 3),
        "identity_sd_between_people_mm": round(spread[1] ** 0.5, 3),
        "variance_ratio": round(spread[0] / spread[1], 4),
        "jawOpen_range": [round(float(q), 2) for q in np.quantile(moves[:, EXPRESSION_NAMES.index("jawOpen")], [0.02, 0.98])],
    }


def neutral(bench: Bench) -> Figures:
    """|expression| of faces that the teacher scores neutral: its scores less those of rest sum up to less than 1."""
    out: Figures = {}
    for source in ("lfw", "utkface"):
        _, points, teacher = read_pack(bench.shared / "data", source)
        calm = torch.nonzero(teacher.sum(1) < 1.0)[:100, 0]
        weights = fit(points[calm], teacher[calm], bench.basis).expression
        largest = weights.median(0).values
        out[source] = {
            "faces": len(calm),
            "median_abs": round(float(weights.median()), 4),
            "mean_abs": round(float(weights.mean()), 4),
            "largest_median": {EXPRESSION_NAMES[k]: round(float(largest[k]), 3) for k in largest.argsort(descending=True)[:4]},
        }
    return out


def separation(bench: Bench) -> Figures:
    """How well blinks and smiles part, on rows of the expressions pack that were chosen by looking at the pictures."""
    _, points, teacher = read_pack(bench.shared / "data", "expressions")
    out: Figures = {}
    for name, (there, absent) in {"eyeBlink": (SHUT, OPEN), "mouthSmile": (SMILING, NOT_SMILING)}.items():
        rows = [*there, *absent]
        weights = fit(points[rows], teacher[rows], bench.basis).expression.numpy()
        sides = [EXPRESSION_NAMES.index(f"{name}{side}") for side in ("Left", "Right")]
        values = weights[:, sides].mean(1)
        high, low = values[: len(there)], values[len(there) :]
        out[name] = {
            "auc": auc(high, low),
            "faces": [len(high), len(low)],
            "median": [round(float(np.median(v)), 3) for v in (high, low)],
        }
    return out


def degeneracies(bench: Bench, most: int = 200) -> Figures:
    """What could be mistaken for something else, on real faces: weights in order, and errors on heads of known parameters."""
    _, points, teacher = read_pack(bench.shared / "data", "youtube")
    weights = fit(points[:most], teacher[:most], bench.basis).expression.numpy()
    at = {name: weights[:, k] for k, name in enumerate(EXPRESSION_NAMES)}
    blink, down = at["eyeBlinkLeft"], at["eyeLookDownLeft"]
    return {
        "faces": len(weights),
        "mouthClose above jawOpen, most": round(float((at["mouthClose"] - at["jawOpen"]).max()), 5),
        "browInnerUp and browDown both above 0.3, share": round(float(((at["browInnerUp"] > 0.3) & (at["browDownLeft"] > 0.3)).mean()), 4),
        "eyeLookDown where eyeBlink > 0.8, median": round(float(np.median(down[blink > 0.8])), 3),
        "known heads": _known_heads(bench),
    }


def _at(names: tuple[str, ...]) -> list[int]:
    return [EXPRESSION_NAMES.index(name) for name in names]


def _known_heads(bench: Bench, count: int = 100) -> Figures:
    """Errors on heads with random jaw, identity and pose, points 1.5 mm off, and a teacher that says half of what is there."""
    rng, basis = np.random.default_rng(0), bench.basis
    identity = torch.from_numpy(rng.normal(size=(count, len(basis.identity))).astype(np.float32))
    expression = torch.zeros(count, len(EXPRESSION_NAMES))
    for column in _at(MOVED):
        expression[:, column] = torch.from_numpy((rng.random(count) * (rng.random(count) < 0.6)).astype(np.float32))
    angles = rng.uniform(-0.4, 0.4, (count, 3)).astype(np.float32)
    rotation = torch.from_numpy(rotation_from_euler(angles).astype(np.float32))
    head = basis.mean + torch.tensordot(torch.cat([identity, expression], 1), torch.cat([basis.identity, basis.expression]), 1)
    noise = torch.from_numpy(rng.normal(0, 1.5, head.shape).astype(np.float32))
    found = fit(head @ rotation.transpose(1, 2) * 1000 + noise, expression / 2, basis)
    error = dict(zip(MOVED + AT_REST, (found.expression - expression).numpy()[:, _at(MOVED + AT_REST)].T, strict=True))
    error["pitch_deg"] = np.degrees(euler_from_rotation(found.rotation.numpy())[:, 0] - angles[:, 0])
    error["chin_by_identity_mm"] = ((found.identity - identity) @ basis.identity[:, CHIN, 1]).numpy() * 1000
    return {
        "rms_error": {name: round(float(np.sqrt((value**2).mean())), 3) for name, value in error.items()},
        "correlation of errors": {f"{a}, {b}": round(float(np.corrcoef(error[a], error[b])[0, 1]), 2) for a, b in CONFUSED},
    }


def auc(high: NDArray, low: NDArray) -> float:
    """Chance that one of `high` lies above one of `low`."""
    return round(float((high[:, None] > low[None]).mean() + 0.5 * (high[:, None] == low[None]).mean()), 4)


PARTS = {"accuracy": accuracy, "consistency": consistency, "leakage": leakage, "neutral": neutral, "separation": separation}
PARTS |= {"degeneracies": degeneracies}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "labels" / "fitting.json")
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this (may be repeated); the others are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(options.shared)
    figures = json.loads(options.out.read_text()) if options.out.is_file() else {}
    for name in options.part or PARTS:
        figures[name] = PARTS[name](bench)
        print(name, json.dumps(figures[name], indent=1), flush=True)
        atomic_write(options.out, (json.dumps(figures, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
