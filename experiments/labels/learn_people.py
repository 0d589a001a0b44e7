"""What is learned about people's identities from two and more pictures of each: mfn/weights/people.npz, which the fitter uses.

    python -m experiments.labels.learn_people --data ../shared/data

`mean (I,)`, `between (I, I)`: how identities differ from person to person (lfw, two news photos of each); `within (I, I)`: how the fits of
one person's pictures differ (mean of lfw's and youtube's), all of faces fitted alone; `size_mm (I,)` says to which head model all this
belongs. The people that experiments/labels/measure.py measures are left out.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.labels.fit import fit_pack, people_of, read_pack
from experiments.labels.measure import MEASURED, pairs_of
from mfn.fitting.fitter import basis_from_head_model
from mfn.fitting.identity_prior import IDENTITY_PRIOR_FILE, component_sizes_mm
from mfn.structures.head_model import HeadModel
from retarget.io.files import atomic_write

LEAST = 1e-4  # variance that every direction has at least: what was learned must be positive definite


def read_identities(data: Path, source: str, most: int) -> tuple[NDArray, NDArray]:
    """Identities (F, I) of faces fitted alone and whose they are (F,), at most `most` of a person, nobody who is measured."""
    pack, points, teacher = read_pack(data, source)
    person = people_of(pack, source, points).numpy()
    pairs, _ = pairs_of(person, np.random.default_rng(0))
    last = person[pairs[:MEASURED]].max()
    rows = [np.flatnonzero(person == p)[:most] for p in np.unique(person[pairs]) if p > last]
    chosen = np.concatenate(rows)
    basis = replace(basis_from_head_model(HeadModel.load()), identity_prior=None)
    found = fit_pack(points[chosen], teacher[chosen], torch.full((len(chosen),), -1), basis, source)
    return found.identity.numpy().astype(np.float64), person[chosen]


def two_covariances(identity: NDArray, person: NDArray) -> tuple[NDArray, NDArray]:
    """Covariance between people and within a person, (I, I) each."""
    _, number, count = np.unique(person, return_inverse=True, return_counts=True)
    total = np.zeros((len(count), identity.shape[1]))
    np.add.at(total, number, identity)
    middle = total / count[:, None]
    error = identity - middle[number]
    within = error.T @ error / (len(identity) - len(count))
    between = np.cov(middle.T) - within * (1 / count).mean()
    value, direction = np.linalg.eigh(between)
    return (direction * np.maximum(value, LEAST)) @ direction.T, within


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/ and mediapipe_blendshapes.txt")
    parser.add_argument("--out", type=Path, default=IDENTITY_PRIOR_FILE)
    parser.add_argument("--most", type=int, default=10, help="pictures of a person")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = HeadModel.load()
    sign = model.identity_mirror
    alike = sign[:, None] * sign > 0  # a mirrored person is as likely: nothing couples the symmetric with the antisymmetric
    photos, whose = read_identities(options.data, "lfw", options.most)
    frames, who = read_identities(options.data, "youtube", options.most)
    between, within = two_covariances(photos, whose)
    within = (within + two_covariances(frames, who)[1]) / 2
    size_mm = component_sizes_mm(torch.from_numpy(model.landmark_basis("mediapipe478")[1])).numpy()
    arrays = {"mean": photos.mean(0) * (sign > 0), "between": between * alike, "within": within * alike, "size_mm": size_mm}
    arrays = {name: value.astype(np.float32) for name, value in arrays.items()}
    atomic_write(options.out, lambda temporary: np.savez_compressed(temporary, **arrays))  # type: ignore[arg-type]
    print(f"{options.out}: {len(np.unique(whose))} + {len(np.unique(who))} people, {len(whose)} + {len(who)} pictures")
    print(f"variance between people {np.trace(between):.1f}, of one person's fits {np.trace(within):.1f} of {len(sign)}")


if __name__ == "__main__":
    main()
