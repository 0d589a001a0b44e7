"""What the networks read in the same faces at 16 to 300 px: expression, points and recall of MFN large, MFN small and SFN.

    python -m experiments.accuracy.face_size --backgrounds DATA/backgrounds.tar --clips EVAL/clips [--plot sizes.png] [--sheet sizes_sheet.png]

A face's size is sqrt(w h) of its box in the picture that the predictor is given: a square of 448 px, which large sees at 496 px and small
at 288 px. Two kinds of faces, each at all sizes: heads with shoulders drawn by `mfn.synthesis.heads` (exact truth, a seed of their own),
and frames of clips, where no truth is known: there it is SFN's word on the frame as it was filmed, so figures are agreement with that.
The shrunk picture lies somewhere in a photo without faces, or a wall, and frames also in rows of their like: a small face scores higher
in company, as the network looks at the whole picture. SFN reads the box that large found. Recall is at IoU 0.5 and the default score;
all else is over the faces that all networks of a recall of half and more found. Prints Markdown, writes experiments/results/accuracy/face_size.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.accuracy.single_face import CLIPS, read_clip
from mfn.cli.demo import landmark_nme
from mfn.inference.model_zoo import MODELS, SINGLE_FACE_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.heads import HeadGenerator
from mfn.synthesis.rendering.head_renderer import Person
from mfn.training.data.packs import read_pictures
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Picture, write_image

RESULT = Path(__file__).parents[1] / "results" / "accuracy" / "face_size.json"
SIZES = (16, 24, 32, 48, 64, 96, 128, 192, 300)
SIDE = 448  # px of the square picture
SEED, DRAWN, REACH = 51216, 1152, 0.6  # px of a drawn picture; its head's part of the size that training gives it, so that shoulders show
IOU, LEAST_RECALL = 0.5, 0.5
SHAPES = {
    "jawOpen": ("jawOpen",),
    "eyeBlink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "mouthSmile": ("mouthSmileLeft", "mouthSmileRight"),
}
NETWORKS = ("large", "small", "SFN")


class Case(NamedTuple):
    """A picture (H, W, 3) uint8 RGB and the one face in it, a row in its px."""

    picture: Picture
    face: Faces


class Busts(HeadGenerator):
    """Heads drawn smaller in their pictures, with room around."""

    def place(self, person: Person, size_px: int, rng: np.random.Generator) -> Faces:
        face = super().place(person, size_px, rng)
        smaller = face.replace(scale=face.scale * REACH)
        return smaller.replace(box=self.model.boxes(smaller))


def synthetic_cases(heads: Busts, count: int) -> Iterator[Case]:
    """Drawn heads with exact truth; two pictures a person."""
    rng = np.random.default_rng(SEED)
    for _ in range(count):
        yield Case(*heads.generate(rng, DRAWN, 1.0))


def clip_cases(folder: Path, every: int, predictor: Predictor, single: SingleFace) -> Iterator[Case]:
    """Frames of the clips with what SFN says of their best face."""
    for name in CLIPS:
        for frame in read_clip(folder / f"{name}.mp4", most=10000)[::every]:
            box = predictor(frame).box[:1]
            if len(box):
                yield Case(frame, single(frame, box))


def face_size(face: Faces) -> float:
    """sqrt(w h) of one row's box, px."""
    return float(np.sqrt((face.box[0, 2:] - face.box[0, :2]).prod()))


def lay(case: Case, size: float, where: np.ndarray, ground: Picture | None) -> Case:
    """The picture shrunk (at 300 px some are enlarged a little) until its face has `size` px, on a ground (SIDE, SIDE, 3).

    where: (2,) in [0, 1], x y: from the face's box at the left, top edge of the ground to the right, bottom one; ground: None repeats
    the picture over all of it
    """
    import cv2

    sides = np.array(case.picture.shape[1::-1])
    inner = np.maximum(np.rint(sides * size / face_size(case.face)), 1).astype(int)
    method = cv2.INTER_AREA if inner[0] < sides[0] else cv2.INTER_LINEAR
    small = cv2.resize(case.picture, inner.tolist(), interpolation=method)
    factor = (inner / sides).astype(np.float32)
    box = case.face.box[0] * np.tile(factor, 2)
    offset = np.rint(where * (SIDE - (box[2:] - box[:2])) - box[:2]).astype(int)
    column, row = (np.arange(SIDE) - offset[:, None]) % inner[:, None]
    out = small[row][:, column]
    if ground is not None:
        (left, top), (right, bottom) = np.maximum(offset, 0), np.minimum(offset + inner, SIDE)
        part = out[top:bottom, left:right].copy()
        out[:] = ground
        out[top:bottom, left:right] = part
    face = case.face.replace(
        box=(box + np.tile(offset, 2))[None],
        center=case.face.center * factor + offset,
        scale=case.face.scale * np.sqrt(factor.prod()),
    )
    return Case(out, face)


class Networks(NamedTuple):
    """What is measured."""

    large: Predictor
    small: Predictor
    single: SingleFace

    def read(self, case: Case) -> dict[str, Faces]:
        """Each network's word on the case's face: no row or one."""
        large, small = (on_face(predictor(case.picture), case.face) for predictor in (self.large, self.small))
        return dict(zip(NETWORKS, (large, small, self.single(case.picture, large.box)), strict=True))


def on_face(found: Faces, face: Faces) -> Faces:
    """Of those found the one that lies on the face, or none."""
    if not len(found):
        return found
    shared = box_iou(found.box, face.box)[:, 0]
    return found[[int(shared.argmax())]] if shared.max() >= IOU else found[[]]


def figures(true: Sequence[Faces], told: dict[str, list[Faces]], model: HeadModel) -> dict:
    """Recall of each network, and errors over the faces that all of enough recall found. true: rows; told: as many, or no row, of each."""
    recall = {name: round(sum(map(len, rows)) / len(true), 3) for name, rows in told.items()}
    enough = [name for name in told if recall[name] >= LEAST_RECALL]
    seen = [i for i in range(len(true)) if enough and all(len(told[name][i]) for name in enough)]
    truth = Faces.concatenate([true[0][[]], *(true[i] for i in seen)])
    middle = np.median(truth.expression, 0) if seen else 0
    out: dict = {"faces": len(true), "compared": len(seen), "error_of_median": mean(np.abs(truth.expression - middle))}
    for name, rows in told.items():
        kept = seen if name in enough else []
        one, same = (Faces.concatenate([true[0][[]], *(faces[i] for i in kept)]) for faces in (rows, true))
        out[name] = {
            "recall": recall[name],
            "error": mean(np.abs(one.expression - same.expression)),
            "nme": mean(landmark_nme(same, one, model)),
            **{shape: correlation(shape_of(same, parts), shape_of(one, parts)) for shape, parts in SHAPES.items()},
        }
    return out


def mean(values: np.ndarray) -> float | None:
    """Rounded; nothing of nothing."""
    return round(float(values.mean()), 4) if values.size else None


def shape_of(faces: Faces, names: Sequence[str]) -> np.ndarray:
    """(N,) the mean of some weights."""
    return faces.expression[:, [EXPRESSION_NAMES.index(name) for name in names]].mean(1)


def correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Pearson's; none of fewer than 8 faces or where nothing varies."""
    if len(x) < 8 or min(x.std(), y.std()) < 1e-6:
        return None
    return round(float(np.corrcoef(x, y)[0, 1]), 3)


def measure(cases: Iterable[Case], networks: Networks, heads: HeadGenerator | None, sheet: list[list[Picture]]) -> dict[str, dict]:
    """Figures by size. heads: what the grounds come from, None for pictures in rows; sheet: gets the laid pictures of every 20th case."""
    rng = np.random.default_rng(SEED + 1)
    true: dict[int, list[Faces]] = {size: [] for size in SIZES}
    told: dict[int, dict[str, list[Faces]]] = {size: {name: [] for name in NETWORKS} for size in SIZES}
    for number, case in enumerate(cases):
        where = rng.uniform(0.1, 0.9, 2)
        ground = heads.background(SIDE, rng) if heads else None
        laid = [lay(case, size, where, ground) for size in SIZES]
        for size, one in zip(SIZES, laid, strict=True):
            true[size].append(one.face)
            for name, faces in networks.read(one).items():
                told[size][name].append(faces)
        if number % 20 == 0:
            sheet.append([one.picture for one in laid])
    return {f"{size} px": figures(true[size], told[size], networks.single.model) for size in SIZES}


def table(name: str, rows: dict[str, dict]) -> str:
    """Markdown: of each size large / small / SFN."""
    keys = ("recall", "error", *SHAPES, "nme")
    lines = [f"| {name}, large / small / SFN | compared | " + " | ".join(keys) + " |", "|---" * (len(keys) + 2) + "|"]
    for size, row in rows.items():
        cells = [" / ".join("–" if row[n][k] is None else f"{row[n][k]:.3g}" for n in NETWORKS) for k in keys]
        lines.append(f"| {size} | {row['compared']} of {row['faces']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(path: Path, results: dict[str, dict[str, dict]]) -> None:
    """Curves over the size: a row for each kind of faces, a column for each figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    titles = {"recall": "recall", "error": "mean error of a weight (dotted: always the median)", "nme": "NME of 68 points, %"}
    titles |= {shape: f"correlation of {shape}" for shape in SHAPES}
    figure, axes = plt.subplots(len(results), len(titles), figsize=(20, 3.4 * len(results)), squeeze=False)
    for line, (kind, rows) in zip(axes, results.items(), strict=True):
        for axis, (key, title) in zip(line, titles.items(), strict=True):
            for name in NETWORKS:
                values = [np.nan if row[name][key] is None else row[name][key] for row in rows.values()]
                axis.plot(SIZES, values, marker="o", markersize=3, label=name)
            if key == "error":
                axis.plot(SIZES, [row["error_of_median"] or np.nan for row in rows.values()], "k:")
            axis.set_xscale("log", base=2)
            axis.set_xticks(SIZES, [str(size) for size in SIZES], fontsize=7)
            axis.set_title(title, fontsize=9)
            axis.set_ylim((0, None) if key in ("error", "nme") else (min(0, axis.get_ylim()[0]), 1.03))
            axis.grid(alpha=0.3)
        line[0].legend(fontsize=7, loc="lower right")
        line[0].set_ylabel(kind, fontsize=8)
        line[0].set_xlabel("face, px", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--backgrounds", type=Path, help="tar of photos without faces (default: drawn walls)")
    parser.add_argument("--clips", type=Path, help="folder of the clips " + ", ".join(CLIPS))
    parser.add_argument("--count", type=int, default=150, help="drawn heads")
    parser.add_argument("--every", type=int, default=7, help="one of so many frames of the clips")
    parser.add_argument("--plot", type=Path, help="PNG of the curves")
    parser.add_argument("--sheet", type=Path, help="PNG of every twentieth face at all sizes")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    networks = Networks(Predictor.load("large", threads=1), Predictor.load("small", threads=1), SingleFace.load(threads=1))
    photos = read_pictures(args.backgrounds, every=3) if args.backgrounds else []
    heads, sheet = Busts(networks.single.model, photos, images_per_person=2), []
    results = {"drawn heads": measure(synthetic_cases(heads, args.count), networks, heads, sheet)}
    if args.clips:
        frames = list(clip_cases(args.clips, args.every, networks.large, networks.single))
        results["frames, agreement with SFN at full size"] = measure(frames, networks, heads, sheet)
        results["frames in rows, the same"] = measure(frames, networks, None, sheet)
    files = {"large": MODELS["large"].path, "small": MODELS["small"].path, "SFN": SINGLE_FACE_WEIGHTS}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    args.out.write_text(json.dumps({"weights_sha256": digests, "picture": [SIDE, SIDE]} | results, indent=1) + "\n")
    for kind, rows in results.items():
        print(table(kind, rows), end="\n\n")
    if args.plot:
        draw(args.plot, results)
    if args.sheet:
        write_image(args.sheet, np.concatenate([np.concatenate(row, 1) for row in sheet]))


if __name__ == "__main__":
    main()
