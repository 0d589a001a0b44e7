"""Learn what tells people apart at a glance: mfn/weights/looks.npz.

    python -m experiments.video.looks --data ../shared/data --labels LABELS

The samples of `mfn.video.tracking.look_samples` are mapped to a few numbers by principal components and then Fisher's linear
discriminant: people differ much in these numbers, frames of one video little, and videos of one person little too. The packs are
youtube (several videos of each person) and lfw (two photos of each person). Faces are where the fitted labels say.

How much the numbers vary is measured on people of youtube who were left out: the people are split into parts, and each part is
described by what was learned on all others. Another shot of a clip is taken to be half way (geometric mean of the variances) between the
same video and another video, as in `experiments.video.simulated_crowds`. The script writes experiments/results/video/looks.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, save_report
from experiments.video.identity import area_under_curve, logistic_slope
from mfn.training.packs.reader import read_pack
from mfn.video.tracking.look_samples import look_samples
from mfn.video.tracking.looks import FORMAT, LOOKS_FILE, Looks
from retarget.io.files import atomic_write

RESULT = RESULTS / "video" / "looks.json"
VIDEO_STEP = 10  # numbers of one video in the names of youtube
COMPONENTS, NUMBERS = 150, 24
VIDEO_SHARE = 0.5  # weight of the scatter between one person's videos beside that within a video
SHRINK = 0.1  # share of a round covariance, so that few people are enough
PARTS = 3
MOST_PAIRS = 200_000  # of different people

Floats = NDArray[np.floating[Any]]


class Portraits(NamedTuple):
    """Hold samples (M, D), the person (M,) and the video (M,) of each face."""

    samples: Floats
    person: NDArray[np.str_]
    video: NDArray[np.int64]

    def select(self, rows: NDArray[Any]) -> Portraits:
        """Return some of the faces."""
        return Portraits(*(column[rows] for column in self))


class Pairs(NamedTuple):
    """Hold pairs of faces (P, 2) by what they have in common."""

    same_video: NDArray[np.int64]
    other_video: NDArray[np.int64]
    other_person: NDArray[np.int64]


def split_name(pack: str, name: str, number: int) -> tuple[str, int]:
    """Return the person and the video of a picture; each photo of lfw is a video of its own."""
    if pack == "lfw":
        return name.split("/")[0].lower(), number
    who, _, frame = name.rpartition(".")[0].rpartition("_")
    return who.lower(), int(frame) // VIDEO_STEP


def read_portraits(data: Path, labels: Path, pack: str) -> Portraits:
    """Sample the largest labeled face of each picture whose person has several pictures."""
    with np.load(data / "faces" / f"{pack}.npz") as file:
        known = [split_name(pack, str(name), number) for number, name in enumerate(file["picture_name"])]
    person, video = np.array([who for who, _ in known]), np.array([number for _, number in known])
    _, which, count = np.unique(person, return_inverse=True, return_counts=True)
    content = read_pack(data / "faces", labels, pack)
    labeled = np.flatnonzero(content.has_labels)
    height = content.faces.box[:, 3] - content.faces.box[:, 1]
    order = labeled[np.lexsort((-height[labeled], content.faces.image[labeled]))]
    picture, first = np.unique(content.faces.image[order], return_index=True)
    rows = order[first][count[which[picture]] > 1]
    chosen = content.faces.image[rows]
    samples = np.concatenate([look_samples(content.pictures[p], content.faces[[row]]) for p, row in zip(chosen, rows, strict=True)])
    return Portraits(samples, person[chosen], video[chosen])


def scatter_within(values: Floats, group: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the covariance (C, C) of values (M, C) within groups (M,), and the mean (G, C) of each group."""
    count = np.bincount(group)
    mean = np.zeros((len(count), values.shape[1]))
    np.add.at(mean, group, values)
    mean /= count[:, None]
    rest = values - mean[group]
    return rest.T @ rest / max(len(values) - len(count), 1), mean


class Projection(NamedTuple):
    """What turns samples into numbers: mean (D,) and matrix (D, K)."""

    mean: Floats
    matrix: Floats

    def __call__(self, samples: Floats) -> Floats:
        return np.asarray((samples - self.mean) @ self.matrix)


def learn(portraits: Portraits) -> Projection:
    """Learn the numbers in which people differ most, in units of what one person varies."""
    mean, sd = portraits.samples.mean(0, dtype=np.float64), portraits.samples.std(0, dtype=np.float64) + 1e-6
    scaled = (portraits.samples - mean) / sd
    _, axes = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    axes = axes[:, ::-1][:, :COMPONENTS]
    values = scaled @ axes
    _, person = np.unique(portraits.person, return_inverse=True)
    videos, video = np.unique(np.stack([person, portraits.video], 1), axis=0, return_inverse=True)
    within_video, of_video = scatter_within(values, video.ravel())
    between_videos, of_person = scatter_within(of_video, videos[:, 0])
    within = within_video + VIDEO_SHARE * between_videos
    within = (1 - SHRINK) * within + SHRINK * np.trace(within) / len(within) * np.eye(len(within))
    variance, turned = np.linalg.eigh(within)
    whiten = turned / np.sqrt(variance)
    _, best = np.linalg.eigh(whiten.T @ np.cov(of_person.T) @ whiten)
    return Projection(mean, axes @ whiten @ best[:, ::-1][:, :NUMBERS] / sd[:, None])


def parts_of(person: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the part (M,) in which the person of each face is left out."""
    return np.asarray(np.unique(person, return_inverse=True)[1] % PARTS, np.int64)


def learn_without_part(portraits: Portraits, part: NDArray[np.int64], number: int) -> Projection:
    """Learn on the people who are not in one part. `part` belongs to the first rows (youtube); lfw may show the same people."""
    left_out = np.unique(portraits.person[: len(part)][part == number])
    return learn(portraits.select(~np.isin(portraits.person, left_out)))


def all_pairs(portraits: Portraits, part: NDArray[np.int64]) -> Pairs:
    """Return the pairs of faces within a part, and at most MOST_PAIRS of different people."""
    i, j = np.triu_indices(len(part), 1)
    same, one_video = portraits.person[i] == portraits.person[j], portraits.video[i] == portraits.video[j]
    differ = np.random.default_rng(0).permutation(np.flatnonzero(~same & (part[i] == part[j])))[:MOST_PAIRS]
    pairs = np.stack([i, j], 1)
    return Pairs(pairs[same & one_video], pairs[same & ~one_video], pairs[differ])


def variances(numbers: Floats, pairs: Pairs) -> dict[str, Floats]:
    """Return the variance (K,) of each number in each kind of pair."""
    return {name: ((numbers[rows[:, 0]] - numbers[rows[:, 1]]) ** 2).mean(0) / 2 for name, rows in pairs._asdict().items()}


def ratios(looks: Looks, numbers: Floats, pairs: Pairs) -> dict[str, Floats]:
    """Return the log likelihood ratio of each pair."""
    once = np.ones(1)
    return {name: looks.ratio(numbers[rows[:, 0]], numbers[rows[:, 1]], once, once) for name, rows in pairs._asdict().items()}


def to_looks(projection: Projection, numbers: Floats, pairs: Pairs) -> tuple[Looks, Figures]:
    """Measure variances and the share on numbers (M, K) of people who were left out, and make what ships of them."""
    varied = variances(numbers, pairs)
    same, other = (float(varied[name].mean()) for name in ("same_video", "other_video"))
    within = np.full(NUMBERS, np.sqrt(same * other))
    between = np.maximum(varied["other_person"] - other, 0.05)
    looks = Looks(projection.mean, projection.matrix, within, between, 1.0)
    ratio = ratios(looks, numbers, pairs)
    alike = np.concatenate([np.resize(ratio["same_video"], len(ratio["other_video"])), ratio["other_video"]])  # both kinds weigh the same
    intercept, slope = logistic_slope(-alike, -ratio["other_person"])
    figures = {
        "pairs": {name: len(rows) for name, rows in pairs._asdict().items()},
        "variance": {name: round(float(v.mean()), 3) for name, v in varied.items()},
        "area_under_curve": {n: round(area_under_curve(-ratio[n], -ratio["other_person"]), 4) for n in ("same_video", "other_video")},
        "percent_above_0": {name: round(100 * float((value > 0).mean()), 1) for name, value in ratio.items()},
        "median_ratio": {name: round(float(np.median(value) * slope), 2) for name, value in ratio.items()},
        "log_odds": {"intercept": round(float(intercept), 3), "share": round(float(slope), 4)},
    }
    return Looks(projection.mean, projection.matrix, within, between, float(slope)), figures


def write(looks: Looks, path: Path) -> None:
    """Write the file of looks, whole or not at all."""
    arrays: dict[str, Any] = {"mean": looks.mean.astype(np.float16), "projection": looks.projection.astype(np.float16)}
    arrays |= {"within": looks.within, "between": looks.between, "share": np.array(looks.share), "format": np.array(FORMAT)}
    atomic_write(path, lambda temporary: np.savez_compressed(temporary, **arrays))


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels of youtube and lfw")
    parser.add_argument("--weights", type=Path, default=LOOKS_FILE, help="the file to write")
    args = parser.parse_args()
    youtube, photos = (read_portraits(args.data, args.labels, pack) for pack in ("youtube", "lfw"))
    everybody = Portraits(*(np.concatenate(columns) for columns in zip(youtube, photos, strict=True)))
    part, numbers = parts_of(youtube.person), np.zeros((len(youtube.person), NUMBERS))
    for number in range(PARTS):
        numbers[part == number] = learn_without_part(everybody, part, number)(youtube.samples[part == number])
    looks, measured = to_looks(learn(everybody), numbers, all_pairs(youtube, part))
    people = {name: len(np.unique(own.person)) for name, own in (("youtube", youtube), ("lfw", photos))}
    print(people, measured)
    save_report(args, __file__, {"people": people, "numbers": NUMBERS, **measured})
    if not args.check:
        write(looks, args.weights)


if __name__ == "__main__":
    main()
