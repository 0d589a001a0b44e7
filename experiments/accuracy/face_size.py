"""Measure MFN and SFN on the same faces at sizes from 16 to 300 px.

    python -m experiments.accuracy.face_size --backgrounds ../shared/data/backgrounds.tar --clips ../shared/eval/clips

The size of a face is the square root of the area of its box in the picture that the predictor gets: a square of 448 px.
There are two kinds of faces, each at all sizes: heads with shoulders
drawn by `mfn.synthesis.heads`, with exact labels, and frames of clips. For frames no truth is known; the reference is
SFN's prediction on the frame at full size, so the figures measure agreement with it. The reduced picture is laid
somewhere on a photo without faces. Frames are also laid in rows of copies, because a small face gets a higher score
when other faces are near. SFN reads the box that large finds. Recall is measured at IoU 0.5 and the default score; all
other figures are means over the faces that were found by every network with a recall of 0.5 or more.

The script prints Markdown and writes experiments/results/accuracy/face_size.json. --plot draws the curves, --sheet
every twentieth face at all sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.accuracy.evaluation_sets import EVALUATION_CLIPS, face_at, read_clip
from experiments.common import RESULTS, Figures, make_parser, markdown_table, pyplot, save_report
from mfn.inference.model_zoo import MODELS, SINGLE_FACE_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.structures.metrics import landmark_nme
from mfn.synthesis.heads import HeadGenerator
from mfn.synthesis.rendering.head_renderer import Person
from mfn.training.packs.reader import read_pictures
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image, write_image

RESULT = RESULTS / "accuracy" / "face_size.json"
SIZES_PX = (16, 24, 32, 48, 64, 96, 128, 192, 300)
SIDE_PX = 448  # of the square picture
SEED = 51216
DRAWN_PX = 1152  # side of a drawn picture
HEAD_SCALE = 0.6  # size of the drawn head relative to training's, so that shoulders show
MIN_IOU, MIN_RECALL = 0.5, 0.5
MIN_CORRELATED = 8  # faces
SHEET_EVERY = 20
SHAPES = {
    "jawOpen": ("jawOpen",),
    "eyeBlink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "mouthSmile": ("mouthSmileLeft", "mouthSmileRight"),
}
NETWORKS = ("large", "SFN")


class Sample(NamedTuple):
    """Hold a picture (H, W, 3) uint8 RGB and the one face in it."""

    picture: Image
    face: Faces


class Busts(HeadGenerator):
    """Draw heads smaller in their pictures, with room for the shoulders."""

    def place(self, person: Person, size_px: int, rng: np.random.Generator) -> Faces:
        """Place the head as `HeadGenerator` does, then reduce it."""
        face = super().place(person, size_px, rng)
        smaller = face.replace(scale=face.scale * HEAD_SCALE)
        return smaller.replace(box=self.model.boxes(smaller))


class Networks(NamedTuple):
    """Hold the networks that are measured."""

    large: Predictor
    single: SingleFace

    def read(self, sample: Sample) -> dict[str, Faces]:
        """Return each network's prediction for the sample's face: one row, or none if it is missed."""
        box = sample.face.box[0]
        large = face_at(self.large(sample.picture), box, MIN_IOU)
        return dict(zip(NETWORKS, (large, self.single(sample.picture, large.box)), strict=True))


class Laid(NamedTuple):
    """Hold the samples of one kind, laid at all sizes, with the predictions.

    target: size -> faces; predicted: size -> network -> faces (one row or none each); sheet: rows of pictures.
    """

    target: dict[int, list[Faces]]
    predicted: dict[int, dict[str, list[Faces]]]
    sheet: list[list[Image]]


def draw_samples(heads: Busts, count: int) -> Iterator[Sample]:
    """Draw heads with exact labels, two pictures a person."""
    rng = np.random.default_rng(SEED)
    for _ in range(count):
        yield Sample(*heads.generate(rng, DRAWN_PX, 1.0))


def clip_samples(folder: Path, every: int, predictor: Predictor, single: SingleFace) -> Iterator[Sample]:
    """Yield frames of the clips with SFN's prediction for their best face as the reference."""
    for name in EVALUATION_CLIPS:
        for frame in read_clip(folder / f"{name}.mp4", 10000, every):
            box = predictor(frame).box[:1]
            if len(box):
                yield Sample(frame, single(frame, box))


def face_size_px(face: Faces) -> float:
    """Return the square root of the area of one face's box, px."""
    return float(np.sqrt((face.box[0, 2:] - face.box[0, :2]).prod()))


def lay(sample: Sample, size_px: float, position: np.ndarray, ground: Image | None) -> Sample:
    """Resize a picture until its face has the wanted size, and lay it on a ground.

    Args:
        sample: The picture and its face.
        size_px: Wanted size of the face. At 300 px some pictures are enlarged a little.
        position: (2,) x and y in [0, 1], from the face's box at the left or upper edge of the ground to the right or
            lower edge.
        ground: (SIDE_PX, SIDE_PX, 3) uint8 RGB; None repeats the picture over the whole square.

    Returns:
        The square picture, and the face in its px.
    """
    import cv2

    sides = np.array(sample.picture.shape[1::-1])
    inner = np.maximum(np.rint(sides * size_px / face_size_px(sample.face)), 1).astype(int)
    method = cv2.INTER_AREA if inner[0] < sides[0] else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(sample.picture, inner.tolist(), interpolation=method), np.uint8)
    factor = (inner / sides).astype(np.float32)
    box = sample.face.box[0] * np.tile(factor, 2)
    offset = np.rint(position * (SIDE_PX - (box[2:] - box[:2])) - box[:2]).astype(int)
    column, row = (np.arange(SIDE_PX) - offset[:, None]) % inner[:, None]
    out = small[row][:, column]
    if ground is not None:
        (left, top), (right, bottom) = np.maximum(offset, 0), np.minimum(offset + inner, SIDE_PX)
        part = out[top:bottom, left:right].copy()
        out[:] = ground
        out[top:bottom, left:right] = part
    face = sample.face.replace(
        box=(box + np.tile(offset, 2))[None],
        center=sample.face.center * factor + offset,
        scale=sample.face.scale * np.sqrt(factor.prod()),
    )
    return Sample(out, face)


def lay_all(samples: Iterable[Sample], networks: Networks, heads: HeadGenerator | None) -> Laid:
    """Lay each sample at all sizes and read it with all networks.

    Args:
        samples: The samples of one kind.
        networks: The networks that are measured.
        heads: Supplies the grounds; None repeats the picture in rows.
    """
    rng = np.random.default_rng(SEED + 1)
    laid = Laid({size: [] for size in SIZES_PX}, {size: {name: [] for name in NETWORKS} for size in SIZES_PX}, [])
    for number, sample in enumerate(samples):
        position = rng.uniform(0.1, 0.9, 2)
        ground = heads.background(SIDE_PX, rng) if heads else None
        sized = {size: lay(sample, size, position, ground) for size in SIZES_PX}
        for size, one in sized.items():
            laid.target[size].append(one.face)
            for name, faces in networks.read(one).items():
                laid.predicted[size][name].append(faces)
        if number % SHEET_EVERY == 0:
            laid.sheet.append([one.picture for one in sized.values()])
    return laid


def compare(target: Sequence[Faces], predicted: Mapping[str, Sequence[Faces]], model: HeadModel) -> Figures:
    """Compare the predictions of all networks for the same faces.

    Args:
        target: One row a face.
        predicted: For each network as many predictions: one row, or none for a missed face.
        model: The head model.

    Returns:
        For each network the recall, the mean error of an expression weight, the NME of 68 points in percent, and the
        correlation of three shapes. All but the recall are means over the faces that each network with a recall of at
        least MIN_RECALL found.
    """
    recall = {name: round(sum(map(len, rows)) / len(target), 3) for name, rows in predicted.items()}
    enough = [name for name in predicted if recall[name] >= MIN_RECALL]
    common = [i for i in range(len(target)) if enough and all(len(predicted[name][i]) for name in enough)]
    none = target[0][[]]
    truth = Faces.concatenate([none, *(target[i] for i in common)])
    middle = np.median(truth.expression, 0) if common else 0
    figures: Figures = {"faces": len(target), "compared": len(common), "error_of_median": mean(np.abs(truth.expression - middle))}
    for name, rows in predicted.items():
        kept = common if name in enough else []
        ours, same = (Faces.concatenate([none, *(faces[i] for i in kept)]) for faces in (rows, target))
        figures[name] = {
            "recall": recall[name],
            "error": mean(np.abs(ours.expression - same.expression)),
            "nme": mean(landmark_nme(same, ours, model)),
            **{shape: correlation(mean_weight(same, names), mean_weight(ours, names)) for shape, names in SHAPES.items()},
        }
    return figures


def mean(values: np.ndarray) -> float | None:
    """Return the rounded mean, or None if there are no values."""
    return round(float(values.mean()), 4) if values.size else None


def mean_weight(faces: Faces, names: Sequence[str]) -> np.ndarray:
    """Return the mean (N,) of the named expression weights."""
    return np.asarray(faces.expression[:, [EXPRESSION_NAMES.index(name) for name in names]].mean(1))


def correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Return Pearson's correlation; None for fewer than 8 values or if one side does not vary."""
    if len(x) < MIN_CORRELATED or min(x.std(), y.std()) < 1e-6:
        return None
    return round(float(np.corrcoef(x, y)[0, 1]), 3)


def table(kind: str, rows: Mapping[str, Figures]) -> str:
    """Return a Markdown table with one line a size; each cell holds large / SFN."""
    keys = ("recall", "error", *SHAPES, "nme")
    lines = []
    for size, row in rows.items():
        cells = [" / ".join("–" if row[n][k] is None else f"{row[n][k]:.3g}" for n in NETWORKS) for k in keys]
        lines.append([size, f"{row['compared']} of {row['faces']}", *cells])
    return markdown_table([f"{kind}, large / SFN", "compared", *keys], lines)


def draw_curves(path: Path, results: Mapping[str, Mapping[str, Figures]]) -> None:
    """Draw the figures over the face's size: one row a kind of faces, one column a figure."""
    plt = pyplot()
    titles = {"recall": "recall", "error": "mean error of a weight (dotted: always the median)", "nme": "NME of 68 points, %"}
    titles |= {shape: f"correlation of {shape}" for shape in SHAPES}
    figure, axes = plt.subplots(len(results), len(titles), figsize=(20, 3.4 * len(results)), squeeze=False)
    for line, (kind, rows) in zip(axes, results.items(), strict=True):
        for axis, (key, title) in zip(line, titles.items(), strict=True):
            for name in NETWORKS:
                values = [np.nan if row[name][key] is None else row[name][key] for row in rows.values()]
                axis.plot(SIZES_PX, values, marker="o", markersize=3, label=name)
            if key == "error":
                axis.plot(SIZES_PX, [row["error_of_median"] or np.nan for row in rows.values()], "k:")
            axis.set_xscale("log", base=2)
            axis.set_xticks(SIZES_PX, [str(size) for size in SIZES_PX], fontsize=7)
            axis.set_title(title, fontsize=9)
            axis.set_ylim((0, None) if key in ("error", "nme") else (min(0, axis.get_ylim()[0]), 1.03))
            axis.grid(alpha=0.3)
        line[0].legend(fontsize=7, loc="lower right")
        line[0].set_ylabel(kind, fontsize=8)
        line[0].set_xlabel("face, px", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--backgrounds", type=Path, help="tar of photos without faces (default: drawn walls)")
    parser.add_argument("--clips", type=Path, help="folder of the clips " + ", ".join(EVALUATION_CLIPS))
    parser.add_argument("--count", type=int, default=150, help="number of drawn heads")
    parser.add_argument("--every", type=int, default=7, help="use every n-th frame of the clips")
    parser.add_argument("--plot", type=Path, help="PNG of the curves")
    parser.add_argument("--sheet", type=Path, help="PNG of every twentieth face at all sizes")
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    # SFN's prediction stands for the truth in frames of clips, so that it must not be a part of what is measured.
    networks = Networks(Predictor.load("large", threads=1, portrait_reader=False), SingleFace.load(threads=1))
    model = networks.single.model
    heads = Busts(model, read_pictures(args.backgrounds, every=3) if args.backgrounds else [], images_per_person=2)
    laid = {"drawn heads": lay_all(draw_samples(heads, args.count), networks, heads)}
    if args.clips:
        frames = list(clip_samples(args.clips, args.every, networks.large, networks.single))
        laid["frames, agreement with SFN at full size"] = lay_all(frames, networks, heads)
        laid["frames in rows, the same"] = lay_all(frames, networks, None)
    results = {
        kind: {f"{size} px": compare(rows.target[size], rows.predicted[size], model) for size in SIZES_PX}
        for kind, rows in laid.items()
    }
    for kind, figures in results.items():
        print(table(kind, figures), end="\n\n")
    if args.plot:
        draw_curves(args.plot, results)
    if args.sheet:
        write_image(args.sheet, np.concatenate([np.concatenate(row, 1) for rows in laid.values() for row in rows.sheet]))
    weights = {"large": MODELS["large"].path, "SFN": SINGLE_FACE_WEIGHTS}
    save_report(args, __file__, {"picture": [SIDE_PX, SIDE_PX]} | results, weights)


if __name__ == "__main__":
    main()
