"""Share what the experiments have in common: reports, evaluation sets, tables and picture grids."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces
from mfn.training.data.packs import read_pictures
from retarget.io.files import atomic_write
from retarget.io.images import Image

RESULTS = Path(__file__).parent / "results"
EVALUATION_SETS = ("aflw2000", "facesynthetics", "youtube68")
EVALUATION_CLIPS = ("d0", "d3", "d10", "d12")
FOUND_IOU = 0.25  # a face counts as found when a box overlaps the box of its true points this much

Figures = dict[str, Any]
_HEADER_KEYS = ("script",)
_TIMING = re.compile(r"second|minute|fastest|(^|[_/ ])(ms|us)([_/ ]|$)")


class Score(Protocol):
    """Describe the two functions that the experiments use from the evaluation's own score.py."""

    def nme(self, predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]: ...

    def aligned_nme(self, predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]: ...


class EvaluationSet(NamedTuple):
    """Hold one evaluation set.

    pictures: P arrays (H, W, 3) uint8 RGB; points: (P, 68, 2) float64, true landmarks in picture px;
    pose: (P, 3) pitch, yaw and roll in radians as published, or None.
    """

    pictures: list[Image]
    points: NDArray[np.float64]
    pose: NDArray[np.float64] | None

    def yaw_groups(self) -> dict[str, NDArray[np.bool_]]:
        """Return a mask (P,) for all pictures and, where the pose is known, one for each range of |yaw| in degrees."""
        return yaw_groups(self.pose, len(self.points))


def yaw_groups(pose: NDArray[np.float64] | None, count: int) -> dict[str, NDArray[np.bool_]]:
    """Split pictures by the size of their yaw.

    Args:
        pose: (P, 3) pitch, yaw and roll in radians, or None.
        count: P, the number of pictures.

    Returns:
        Masks (P,) with the names "all" and, if the pose is known, "0-30", "30-60" and "60+".
    """
    groups = {"all": np.ones(count, bool)}
    if pose is not None:
        yaw_deg = np.abs(np.degrees(pose[:, 1]))
        groups |= {"0-30": yaw_deg <= 30, "30-60": (yaw_deg > 30) & (yaw_deg <= 60), "60+": yaw_deg > 60}
    return groups


def read_tar(path: Path) -> list[Image]:
    """Read all pictures of a tar file, in the order of their names, as (H, W, 3) uint8 RGB."""
    return read_pictures(path)


def read_evaluation_set(folder: Path, name: str) -> EvaluationSet:
    """Read the pictures NAME.tar and the labels NAME.npz of a folder.

    Raises:
        FileNotFoundError: One of the two files is missing.
    """
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"expected the labels of an evaluation set at {path}: give the folder of the sets with --eval")
    with np.load(path, allow_pickle=False) as data:
        points = data["landmarks"][:, :68, :2].astype(float)
        pose = data.get("pose")
    return EvaluationSet(read_tar(folder / f"{name}.tar"), points, pose)


def load_score(folder: Path) -> Score:
    """Load the evaluation's own score.py from its folder.

    Raises:
        FileNotFoundError: The folder holds no score.py.
    """
    path = folder / "score.py"
    spec = importlib.util.spec_from_file_location("score", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise FileNotFoundError(f"expected the evaluation's score.py at {path}: give the folder of the sets with --eval")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(Score, module)


def read_clip(path: Path, max_frames: int, every: int = 1) -> list[Image]:
    """Read the first frames of a video clip with OpenCV.

    Args:
        path: The clip.
        max_frames: Number of frames that are decoded at most.
        every: Keep the first and every n-th frame after it.

    Returns:
        Frames (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: There is no such file.
    """
    import cv2

    if not path.is_file():
        raise FileNotFoundError(f"expected a clip at {path}: give the folder of the clips")
    clip = cv2.VideoCapture(str(path))
    frames: list[Image] = []
    for number in range(max_frames):
        success, frame = clip.read()
        if not success:
            break
        if number % every == 0:
            frames.append(np.ascontiguousarray(frame[..., ::-1]))
    clip.release()
    return frames


def box_of_points(points: NDArray[Any]) -> NDArray[Any]:
    """Return the box (4,) x1 y1 x2 y2 around points (L, 2)."""
    return np.concatenate([points.min(0), points.max(0)])


def index_of_box(boxes: NDArray[Any], box: NDArray[Any], min_iou: float = FOUND_IOU) -> int | None:
    """Return the row of `boxes` (N, 4) that overlaps `box` (4,) most, or None if no IoU reaches `min_iou`."""
    if len(boxes) == 0:
        return None
    iou = box_iou(boxes, box[None])[:, 0]
    best = int(iou.argmax())
    return best if iou[best] >= min_iou else None


def face_at(faces: Faces, box: NDArray[Any], min_iou: float = FOUND_IOU) -> Faces:
    """Return the one face that overlaps `box` (4,) most, or no face if no IoU reaches `min_iou`."""
    index = index_of_box(faces.box, box, min_iou)
    return faces[[]] if index is None else faces[[index]]


def finite_mean(values: NDArray[Any], digits: int = 3) -> float:
    """Return the rounded mean of the values that are finite; NaN if there are none."""
    finite = values[np.isfinite(values)]
    return round(float(finite.mean()), digits) if len(finite) else float("nan")


def roc_auc(positive: NDArray[Any], negative: NDArray[Any]) -> float:
    """Return the area under the ROC curve: the chance that a positive value exceeds a negative one, ties counted half."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative)))


def make_parser(doc: str | None, out: Path | None = None) -> argparse.ArgumentParser:
    """Make a parser whose help is the script's docstring.

    Args:
        doc: The module's `__doc__`.
        out: Default place of the report. If it is given, the parser gets `--out` and `--check` for `save_report`.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if out is not None:
        parser.add_argument("--out", type=Path, default=out, help="JSON file of the figures")
        parser.add_argument("--check", action="store_true", help="compare with the figures in --out and write nothing")
    return parser


def add_eval_option(parser: argparse.ArgumentParser) -> None:
    """Add `--eval`, the folder of the evaluation sets."""
    parser.add_argument("--eval", type=Path, default=Path("../shared/eval"), help="folder of the evaluation sets")


def split_named(arguments: Iterable[str]) -> dict[str, str]:
    """Split arguments NAME=VALUE.

    Raises:
        ValueError: An argument has no name or no value, or a name is given twice.
    """
    named: dict[str, str] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if not name or not value or name in named:
            raise ValueError(f"expected NAME=FILE with a new name, got {argument!r}")
        named[name] = value
    return named


def sha256(path: str | Path) -> str:
    """Return a file's SHA-256 digest in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


Weights = Path | Mapping[str, "Path | Sequence[Path]"]


def digests_of(weights: Weights) -> str | dict[str, str | list[str]]:
    """Return the SHA-256 digest of a file, or those of named files, or those of named lists of files."""
    if isinstance(weights, Path):
        return sha256(weights)
    return {name: sha256(path) if isinstance(path, Path) else [sha256(p) for p in path] for name, path in weights.items()}


def write_report(path: Path, script: str, figures: Mapping[str, Any], weights: Weights | None = None) -> None:
    """Write a JSON report, whole or not at all.

    The header names the script as a module, the digests of the weights and the CPU seconds of the process. It has no
    date, so two runs that measure the same write the same figures.

    Args:
        path: The JSON file. Its folder is made.
        script: The script's `__file__`.
        figures: What was measured.
        weights: The file or files of the networks that were measured.
    """
    module = Path(script).resolve().relative_to(Path(__file__).resolve().parents[1]).with_suffix("")
    report: Figures = {"script": ".".join(module.parts)}
    if weights is not None:
        report["weights_sha256"] = digests_of(weights)
    report["cpu_seconds"] = round(time.process_time(), 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, (json.dumps(report | dict(figures), indent=1) + "\n").encode())


def save_report(options: argparse.Namespace, script: str, figures: Mapping[str, Any], weights: Weights | None = None) -> None:
    """Write the report to `options.out`, or with `options.check` compare it with the report that lies there.

    Raises:
        SystemExit: With `--check`, a figure that is not a time differs. The message lists the differences.
    """
    if not options.check:
        write_report(options.out, script, figures, weights)
        return
    known = json.loads(options.out.read_text(encoding="utf-8"))
    measured = dict(figures) if weights is None else {"weights_sha256": digests_of(weights)} | dict(figures)
    found = differences(known, json.loads(json.dumps(measured)))
    if found:
        raise SystemExit(f"{options.out}: {len(found)} figures differ\n" + "\n".join(found))
    print(f"{options.out}: the same figures")


def differences(known: Any, measured: Any, where: str = "") -> list[str]:
    """List the places at which two reports differ, apart from the header and from times.

    Args:
        known: The report of before, as JSON values.
        measured: The report of now, as JSON values.
        where: The place of both values in their reports.
    """
    if isinstance(known, dict) and isinstance(measured, dict):
        keys = [k for k in (*known, *(k for k in measured if k not in known)) if where or k not in _HEADER_KEYS]
        return [d for k in keys for d in differences(known.get(k), measured.get(k), f"{where}/{k}")]
    if isinstance(known, list) and isinstance(measured, list) and len(known) == len(measured):
        return [d for i, (a, b) in enumerate(zip(known, measured, strict=True)) for d in differences(a, b, f"{where}/{i}")]
    same = known == measured or (known != known and measured != measured)  # NaN is not equal to itself
    return [] if same or _TIMING.search(where) else [f"{where}: was {known}, is {measured}"]


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table with one head line."""
    lines = [list(map(str, head)), ["---"] * len(head), *(list(map(str, row)) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def picture_grid(tiles: Sequence[Image], columns: int, fill: int = 0) -> Image:
    """Lay equally large pictures (H, W, 3) side by side, `columns` in a row; empty places get the gray level `fill`."""
    if not tiles:
        raise ValueError("expected at least one picture for the grid, got none")
    places = [*tiles, *[np.full_like(tiles[0], fill)] * (-len(tiles) % columns)]
    return np.concatenate([np.concatenate(places[i : i + columns], 1) for i in range(0, len(places), columns)])


def pyplot() -> Any:
    """Return `matplotlib.pyplot` that draws into files only.

    Raises:
        ImportError: Matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("drawing a chart needs Matplotlib: pip install '.[dev]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt
