"""Learn how identities differ between people and between pictures of one person: mfn/weights/people.npz.

    python -m experiments.labels.learn_identity_prior --data ../shared/data

The fitter uses this file. It holds `mean (I,)`; `between (I, I)`, the covariance of identities between people (lfw, two
and more news photos of each); `within (I, I)`, the covariance of the fits of one person's pictures (mean of lfw and
youtube); and `size_mm (I,)`, which identifies the head model that the file belongs to. Every face is fitted alone. The people
that experiments.labels.measure measures are left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common import make_parser
from experiments.labels.fit import fit_in_blocks
from experiments.labels.landmark_packs import read_landmark_pack
from experiments.labels.measure import MEASURED_PEOPLE, pairs_of
from mfn.fitting.annotation_pack import save_arrays
from mfn.fitting.fit_basis import basis_from_head_model
from mfn.fitting.identity_prior import IDENTITY_PRIOR_FILE, component_sizes_mm
from mfn.structures.head_model import HeadModel

MIN_VARIANCE = 1e-4  # of every direction: the covariance must be positive definite


class Identities(NamedTuple):
    """Hold identities (F, I) in standard deviations and the number of each face's person (F,)."""

    identity: NDArray[np.float64]
    person: NDArray[np.int64]


class Covariances(NamedTuple):
    """Hold two covariances of identities, (I, I) each: between people, and within the pictures of one person."""

    between: NDArray[np.float64]
    within: NDArray[np.float64]


def fit_identities(data: Path, source: str, max_pictures: int) -> Identities:
    """Fit faces of one pack, each alone.

    Args:
        data: Folder with faces/.
        source: Name of the pack.
        max_pictures: Number of pictures of a person at most.

    Returns:
        The identities of people who are not measured.
    """
    pack = read_landmark_pack(data, source)
    person = pack.people().numpy()
    pairs = pairs_of(person, np.random.default_rng(0)).same
    last = person[pairs[:MEASURED_PEOPLE]].max()
    chosen = np.concatenate([np.flatnonzero(person == p)[:max_pictures] for p in np.unique(person[pairs]) if p > last])
    basis = replace(basis_from_head_model(HeadModel.load()), identity_prior=None)
    unknown = torch.full((len(chosen),), -1)
    found = fit_in_blocks(pack.points[chosen], pack.expression[chosen], unknown, basis, source)
    return Identities(found.identity.numpy().astype(np.float64), person[chosen])


def covariances(identities: Identities) -> Covariances:
    """Estimate the covariance between people and within a person (one-way analysis of variance)."""
    identity = identities.identity
    _, number, count = np.unique(identities.person, return_inverse=True, return_counts=True)
    total = np.zeros((len(count), identity.shape[1]))
    np.add.at(total, number, identity)
    mean = total / count[:, None]
    error = identity - mean[number]
    within = error.T @ error / (len(identity) - len(count))
    between = np.cov(mean.T) - within * (1 / count).mean()
    value, direction = np.linalg.eigh(between)
    return Covariances((direction * np.maximum(value, MIN_VARIANCE)) @ direction.T, within)


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/ and mediapipe_blendshapes.txt")
    parser.add_argument("--out", type=Path, default=IDENTITY_PRIOR_FILE, help="the .npz file")
    parser.add_argument("--max-pictures", type=int, default=10, help="pictures of a person at most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = HeadModel.load()
    sign = model.identity_mirror
    same_sign = sign[:, None] * sign > 0  # a mirrored person is as likely: symmetric and antisymmetric parts are independent
    photos = fit_identities(options.data, "lfw", options.max_pictures)
    frames = fit_identities(options.data, "youtube", options.max_pictures)
    between, within = covariances(photos)
    within = (within + covariances(frames).within) / 2
    size_mm = component_sizes_mm(torch.from_numpy(model.landmark_basis("mediapipe478")[1])).numpy()
    values = {
        "mean": photos.identity.mean(0) * (sign > 0),
        "between": between * same_sign,
        "within": within * same_sign,
        "size_mm": size_mm,
    }
    arrays: dict[str, Any] = {name: value.astype(np.float32) for name, value in values.items()}
    save_arrays(options.out, arrays)
    counts = [len(np.unique(part.person)) for part in (photos, frames)]
    print(f"{options.out}: {counts[0]} + {counts[1]} people, {len(photos.person)} + {len(frames.person)} pictures")
    print(f"variance between people {np.trace(between):.1f}, of one person's fits {np.trace(within):.1f} of {len(sign)}")


if __name__ == "__main__":
    main()
