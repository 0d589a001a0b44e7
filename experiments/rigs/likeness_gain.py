"""Measure how much the network understates the differences between people, on pairs of training photos of one person.

    python -m experiments.rigs.likeness_gain --data ../shared/data

Each pair is two photos of one person (LFW). What two photos agree on belongs to the person: the covariance of the pairs is the
variance between people, and the rest is noise. The head model's people have a variance of 1. So the factor that makes the error
of a person's components smallest is sd / (sd^2 + noise^2): `_IDENTITY_GAIN` of `mfn.animation.people.rig_likeness`. A larger one
would enlarge the noise more than the person. The script also compares the mean of the predictions with `average_identity` of that
module, which is subtracted first. Writes experiments/results/rigs/likeness_gain.json.
"""

from __future__ import annotations

import tarfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, markdown_table, save_report
from mfn.animation.people.rig_likeness import average_identity, load_likeness
from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from retarget import load_rig
from retarget.io.images import decode_image
from retarget.rig.avatars import AVATAR_NAMES, find_avatar

RESULT = RESULTS / "rigs" / "likeness_gain.json"
PAIRS = 500
GAINS = (1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
LIMIT_SD = 2.0  # a character's component ends here
DRAWS = 200  # for the interval of the gain


class Spread(NamedTuple):
    """Standard deviations of the components of a character: between people, and between photos of one person."""

    people: float
    noise: float


def named_pairs(names: NDArray[np.str_], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Choose pairs (P, 2) of pictures of one person, whose name is the folder."""
    pictures = defaultdict(list)
    for number, name in enumerate(names):
        pictures[str(name).split("/")[0]].append(number)
    pairs = np.array([own[:2] for own in pictures.values() if len(own) > 1])
    return np.asarray(np.random.default_rng(seed).permutation(pairs)[:count], np.int64)


def middle_face(faces: Faces, size: tuple[int, int]) -> NDArray[np.float32] | None:
    """Return the identity (I,) of the face nearest to the middle of a picture; None without a face."""
    if not len(faces):
        return None
    centers = (faces.box[:, :2] + faces.box[:, 2:]) / 2
    return np.asarray(faces.identity[np.linalg.norm(centers - np.array(size) / 2, axis=1).argmin()], np.float32)


def read_identities(folder: Path, pairs: NDArray[np.int64], predictor: Predictor) -> NDArray[np.float32]:
    """Return identities (P, 2, I) of the pairs in which both faces are found."""
    found: dict[int, NDArray[np.float32] | None] = {}
    wanted = set(pairs.ravel().tolist())
    with tarfile.open(folder / "lfw.tar") as tar:
        for member in tar:
            stem = Path(member.name).stem
            if stem.isdecimal() and int(stem) in wanted:
                file = tar.extractfile(member)
                image = decode_image(file.read() if file else b"", member.name)
                found[int(stem)] = middle_face(predictor(image), (image.shape[1], image.shape[0]))
    both = [(found.get(int(a)), found.get(int(b))) for a, b in pairs]
    return np.array([(a, b) for a, b in both if a is not None and b is not None], np.float32)


def spread(components: NDArray[np.float32]) -> Spread:
    """Split the variance of pairs (P, 2, C) into that between people and that between photos."""
    own = components - components.mean((0, 1))
    between = float((own[:, 0] * own[:, 1]).mean())
    return Spread(float(np.sqrt(max(between, 0))), float(np.sqrt((own**2).mean() - between)))


def best_gain(own: Spread) -> float:
    """Return the factor to predicted components that makes the error of the true ones, with a variance of 1, smallest."""
    return own.people / (own.people**2 + own.noise**2)


def nearer_share(components: NDArray[np.float32]) -> float:
    """Return how often the second photo of a person is nearer to the first than that of another person."""
    away = np.linalg.norm(components[:, None, 0] - components[None, :, 1], axis=2)
    others = ~np.eye(len(away), dtype=bool)
    return float((away.diagonal()[:, None] < away)[others].mean())


def measure(identities: NDArray[np.float32]) -> Figures:
    """Measure all characters' components of identities (P, 2, I)."""
    mean, average = identities.mean((0, 1)), average_identity()
    figures: Figures = {
        "pairs": len(identities),
        "mean_identity_rms": round(float(np.sqrt((mean**2).mean())), 3),
        "mean_identity_minus_average_rms": round(float(np.sqrt(((mean - average) ** 2).mean())), 3),
    }
    for name in AVATAR_NAMES:
        likeness = load_likeness(load_rig(find_avatar(name)))
        if likeness is None:
            raise ValueError(f"{name}: expected a likeness file beside the character")
        components = (identities - average) @ likeness.projection.T
        rng = np.random.default_rng(0)
        draws = [best_gain(spread(components[rng.integers(0, len(components), len(components))])) for _ in range(DRAWS)]
        own = spread(components)
        figures[name] = {
            "people_sd": round(own.people, 4),
            "noise_sd": round(own.noise, 4),
            "gain": round(best_gain(own), 2),
            "gain_95_percent": [round(float(value), 2) for value in np.percentile(draws, [2.5, 97.5])],
            "same_person_nearer_percent": round(100 * nearer_share(components), 1),
            "clipped_percent": {f"{gain:g}": round(100 * float((np.abs(components * gain) > LIMIT_SD).mean()), 1) for gain in GAINS},
        }
    figures["gain"] = round(float(np.mean([figures[name]["gain"] for name in AVATAR_NAMES])), 2)
    return figures


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the training photos")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="number of pairs (default: %(default)s)")
    args = parser.parse_args()
    folder = args.data / "faces"
    pairs = named_pairs(np.load(folder / "lfw.npz")["picture_name"], args.pairs)
    figures = measure(read_identities(folder, pairs, Predictor.load()))
    keys = "people_sd", "noise_sd", "gain", "same_person_nearer_percent"
    print(markdown_table(["character", *keys], [[name, *(figures[name][key] for key in keys)] for name in AVATAR_NAMES]))
    save_report(args, __file__, figures, DEFAULT_WEIGHTS)


if __name__ == "__main__":
    main()
