"""Measure how much the network's identity coefficients vary for one person, and between people.

    python -m experiments.video.identity --faces ../shared/data/faces

The pack `youtube` has frames of several videos of each person; the tens of a picture's number are the video. These pictures
belong to the training data; the evaluation sets are not used. The figures are the constants of
`mfn.video.tracking.likeness` and of `experiments.video.simulated_crowds`.
The script writes experiments/results/video/identity.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, save_report
from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.training.packs.reader import read_pictures

RESULT = RESULTS / "video" / "identity.json"
VIDEO_STEP = 10  # numbers of one video
NEWTON_STEPS = 50


class People(NamedTuple):
    """Hold identity coefficients (M, I), the person (M,) and the video (M,) of each face."""

    identity: NDArray[np.float64]
    person: NDArray[np.str_]
    video: NDArray[np.int64]


def read_people(folder: Path, every: int, predictor: Predictor) -> People:
    """Detect the largest face of every n-th picture of the pack `youtube`."""
    with np.load(folder / "youtube.npz") as data:
        names = [str(name).rpartition(".")[0].rpartition("_") for name in data["picture_name"][::every]]
    identity, person, video = [], [], []
    for (who, _, number), picture in zip(names, read_pictures(folder / "youtube.tar", every), strict=True):
        faces = predictor(picture)
        if len(faces):
            identity.append(faces.identity[np.argmax(faces.box[:, 3] - faces.box[:, 1])])
            person.append(who)
            video.append(int(number) // VIDEO_STEP)
    return People(np.array(identity, np.float64), np.array(person), np.array(video))


def independent_dimensions(differences: NDArray[np.float64]) -> float:
    """Return the participation ratio of the covariance of differences (M, I): how many dimensions they fill."""
    values = np.linalg.eigvalsh(differences.T @ differences / len(differences))
    return float(values.sum() ** 2 / (values**2).sum())


def area_under_curve(same: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the share of pairs of the two lists in which the distance of the same person is the smaller one."""
    rank = np.concatenate([same, other]).argsort().argsort()
    return float(1 - (rank[: len(same)].mean() - (len(same) - 1) / 2) / len(other))


def logistic_slope(same: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit log odds = a - b * distance, where both classes weigh the same. Returns (a, b)."""
    distance = np.concatenate([same, other])
    scale = distance.mean()
    inputs = np.stack([np.ones(len(distance)), -distance / scale], 1)
    target = np.arange(len(distance)) < len(same)
    weight = np.where(target, 1 / len(same), 1 / len(other))
    fitted = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        odds = 1 / (1 + np.exp(-inputs @ fitted))
        hessian = (inputs * (weight * odds * (1 - odds))[:, None]).T @ inputs
        fitted += np.linalg.solve(hessian, inputs.T @ (weight * (target - odds)))
    return fitted / np.array([1, scale])


def measure(people: People) -> Figures:
    """Compare all pairs of faces."""
    i, j = np.triu_indices(len(people.identity), 1)
    same = people.person[i] == people.person[j]
    one_video = people.video[i] == people.video[j]
    groups = {"same video": same & one_video, "other video": same & ~one_video, "other person": ~same}
    difference = {name: people.identity[i[rows]] - people.identity[j[rows]] for name, rows in groups.items()}
    error = (difference["same video"] ** 2).mean(0) / 2
    distance = {name: (d**2 / error).sum(1) for name, d in difference.items()}
    intercept, slope = logistic_slope(distance["same video"], distance["other person"])
    between = (difference["other person"] ** 2).mean() / 2 - error.mean()
    ratio = between / error.mean()
    return {
        "faces": len(people.identity),
        "people": len(np.unique(people.person)),
        "pairs": {name: int(rows.sum()) for name, rows in groups.items()},
        "sd_of_a_coefficient": {name: round(float(np.sqrt((d**2).mean() / 2)), 4) for name, d in difference.items()},
        "between_sd": round(float(np.sqrt(between)), 4),
        "independent_dimensions": {name: round(independent_dimensions(d), 2) for name, d in difference.items()},
        "area_under_curve": {n: round(area_under_curve(distance[n], distance["other person"]), 4) for n in ("same video", "other video")},
        "log_odds": {"intercept": round(float(intercept), 3), "per_unit_of_squared_distance": round(float(-slope), 5)},
        # Two independent single images: the squared distance weighs 1/2 (1/2 - 1/(2 + 2 ratio)) in the log likelihood ratio.
        "independent_share": round(float(slope / (0.5 * (0.5 - 1 / (2 + 2 * ratio)))), 4),
    }


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--faces", type=Path, default=Path("../shared/data/faces"), help="folder of the pack")
    parser.add_argument("--every", type=int, default=3, help="use every n-th picture")
    args = parser.parse_args()
    figures = measure(read_people(args.faces, args.every, Predictor.load(DEFAULT_WEIGHTS, threads=1)))
    print(figures)
    save_report(args, __file__, {"every": args.every, **figures}, DEFAULT_WEIGHTS)


if __name__ == "__main__":
    main()
