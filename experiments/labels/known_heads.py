"""Measure what the label fitter could confuse: on real faces, on their labels, and on heads whose parameters are known."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common import Figures
from experiments.labels.bench import Bench, shape_indices
from mfn.fitting.fit_basis import FitBasis
from mfn.fitting.fitter import fit
from mfn.structures.camera import euler_from_rotation, rotation_from_euler
from retarget.arkit import EXPRESSION_NAMES

MOVED = ("jawOpen", "browInnerUp", "eyeBlinkLeft", "mouthSmileLeft")  # get random weights
AT_REST = ("mouthClose", "browOuterUpLeft", "eyeLookDownLeft")  # must stay at 0
CORRELATED = (("jawOpen", "chin_by_identity_mm"), ("jawOpen", "pitch_deg"), ("browInnerUp", "pitch_deg"))
CHIN = 152  # of MediaPipe's points
NOISE_MM = 1.5
PX_PER_M = 1000
LABELED = ("lfw", "youtube", "expressions", "masks_without")
PUCKERED, ASIDE = 0.3, 0.1  # weights of mouthPucker, and of mouthLeft and mouthRight
FUNNELED = (0.1, 0.3)  # MediaPipe's scores of mouthFunnel


def degeneracies(bench: Bench, count: int = 200) -> Figures:
    """Measure the weights of shapes that are easily confused on real faces, and the errors on known heads."""
    pack = bench.read_pack("youtube")
    weights = fit(pack.points[:count], pack.expression[:count], bench.basis).expression.numpy()
    weight = {name: weights[:, k] for k, name in enumerate(EXPRESSION_NAMES)}
    blink, down = weight["eyeBlinkLeft"], weight["eyeLookDownLeft"]
    both_brows = (weight["browInnerUp"] > 0.3) & (weight["browDownLeft"] > 0.3)
    return {
        "faces": len(weights),
        "mouthClose above jawOpen, most": round(float((weight["mouthClose"] - weight["jawOpen"]).max()), 5),
        "browInnerUp and browDown both above 0.3, share": round(float(both_brows.mean()), 4),
        "eyeLookDown where eyeBlink > 0.8, median": round(float(np.median(down[blink > 0.8])), 3),
        "known heads": known_heads(bench.basis),
    }


def mouths(bench: Bench) -> Figures:
    """Measure the labels of puckers and funnels: left and right at once, and how strong a funnel is that MediaPipe sees.

    Raises:
        ValueError: The bench has no labels.
    """
    if bench.labels is None:
        raise ValueError("expected the folder of the labels of the packs: give --labels")
    names = (bench.shared / "data" / "mediapipe_blendshapes.txt").read_text(encoding="utf-8").split()
    labels, scores = [], []
    for source in LABELED:
        with np.load(bench.labels / f"{source}.npz", allow_pickle=False) as data:
            ok = data["ok"].astype(bool)
            labels.append(data["expression"][ok].astype(np.float64))
            rows = data["face"][ok]
        with np.load(bench.shared / "data" / "faces" / f"{source}.npz", allow_pickle=False) as data:
            scores.append(data["face_blendshapes"][rows, names.index("mouthFunnel")] / 255)
    return mouth_figures(np.concatenate(labels), np.concatenate(scores))


def mouth_figures(labels: NDArray[np.float64], funnel_score: NDArray[np.float64]) -> Figures:
    """Return the figures of `mouths` for labels (N, 51) and MediaPipe's scores of mouthFunnel (N,) in [0, 1]."""
    pucker, left, right, funnel = labels[:, shape_indices("mouthPucker", "mouthLeft", "mouthRight", "mouthFunnel")].T
    puckered = pucker > PUCKERED
    aside = [puckered & (side > ASIDE) for side in (left, right)]
    figures: Figures = {
        "faces": len(labels),
        f"mouthPucker > {PUCKERED}": int(puckered.sum()),
        f"of them mouthLeft or mouthRight > {ASIDE}": int((aside[0] | aside[1]).sum()),
        f"of them mouthLeft and mouthRight > {ASIDE}": int((aside[0] & aside[1]).sum()),
    }
    for least in FUNNELED:
        seen = funnel_score > least
        means = {"mean_score": funnel_score[seen], "mean_label": funnel[seen]}
        means_of_seen = {key: round(float(value.mean()), 3) if seen.any() else None for key, value in means.items()}
        figures[f"MediaPipe's mouthFunnel > {least}"] = {"faces": int(seen.sum())} | means_of_seen
    return figures


def known_heads(basis: FitBasis, count: int = 100) -> Figures:
    """Measure the errors on heads with a random jaw, identity and pose.

    The points are 1.5 mm off, and the blendshapes that the fitter gets say half of the true weights.
    """
    rng = np.random.default_rng(0)
    identity = torch.from_numpy(rng.normal(size=(count, len(basis.identity))).astype(np.float32))
    expression = torch.zeros(count, len(EXPRESSION_NAMES))
    for column in shape_indices(*MOVED):
        expression[:, column] = torch.from_numpy((rng.random(count) * (rng.random(count) < 0.6)).astype(np.float32))
    angles = rng.uniform(-0.4, 0.4, (count, 3)).astype(np.float32)
    rotation = torch.from_numpy(rotation_from_euler(angles).astype(np.float32))
    shapes = torch.cat([basis.identity, basis.expression])
    head = basis.mean + torch.tensordot(torch.cat([identity, expression], 1), shapes, 1)
    noise = torch.from_numpy(rng.normal(0, NOISE_MM, head.shape).astype(np.float32))
    found = fit(head @ rotation.transpose(1, 2) * PX_PER_M + noise, expression / 2, basis)
    names = (*MOVED, *AT_REST)
    error = dict(zip(names, (found.expression - expression).numpy()[:, shape_indices(*names)].T, strict=True))
    error["pitch_deg"] = np.degrees(euler_from_rotation(found.rotation.numpy())[:, 0] - angles[:, 0])
    error["chin_by_identity_mm"] = ((found.identity - identity) @ basis.identity[:, CHIN, 1]).numpy() * 1000
    return {
        "rms_error": {name: round(float(np.sqrt((value**2).mean())), 3) for name, value in error.items()},
        "correlation of errors": {
            f"{a}, {b}": round(float(np.corrcoef(error[a], error[b])[0, 1]), 2) for a, b in CORRELATED
        },
    }
