"""The tables of faces by size, of expressions, eyelids and flags, and of errors by group of people, for `experiments.inspect.tables`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.common import markdown_table

ACCURACY = Path(__file__).parents[1] / "results" / "accuracy"
_MIN_FACES = 20  # a mean over fewer says nothing


def people() -> str:
    """Return found share, error of the points, blink and smile for each group, sex and age band."""
    report = _read("fairness")
    rows = [["all", *_cells(report["all"])], ["held out of training", *_cells(report["held_out"])]]
    for field in ("group", "sex", "age"):
        rows += [[name, *_cells(bands)] for name, bands in report[field].items()]
    head = ["people", "found upright / turned / profile, %", *(f"NME {yaw}, %" for yaw in ("upright", "turned"))]
    head += ["blink", "smile", "open eyes called closed, %"]
    return markdown_table(head, rows)


def face_size() -> str:
    """Return recall by the height of a face in pictures of 448 px."""
    sizes = _read("face_size")
    heights = list(sizes["drawn heads"])
    kinds = {"drawn heads": "rendered heads", "frames, agreement with SFN at full size": "video frames, one face"}
    rows = [[text, *(f"{sizes[kind][px]['large']['recall']:.2f}" for px in heights)] for kind, text in kinds.items()]
    return markdown_table(["share found in pictures of 448 px, by face height", *heights], rows)


def follow() -> str:
    """Return how both networks follow the labels that training leaves out, by kind of picture; in parentheses for small faces."""
    large, small = (_read("expression/follow")[size] for size in ("220 px", "60 px"))
    rows = []
    for kind, text in {"photos": "photos", "winks": "photos with one eye of another photo", "heads": "rendered heads"}.items():
        row = [text, str(large[kind]["faces"]), f"{large[kind]['error_of_median']:.3f}"]
        for both in ((large[kind][network], small[kind][network]) for network in ("large", "SFN")):
            row += ["{:.2f} ({:.2f})".format(*(f["mean_correlation"] for f in both)), "{:.3f} ({:.3f})".format(*(f["error"] for f in both))]
        rows.append(row)
    head = ["pictures", "faces", "error of the median label", "MFN: correlation", "MFN: error", "SFN: correlation", "SFN: error"]
    return markdown_table(head, rows)


def eyelids() -> str:
    """Return how well closed and open eyes are separated."""
    networks = _read("expression/eyelids")["networks"]
    rows = [[name, f"{f['auc']:.3f}", f"{f['closed_median']:.2f}", f"{f['open_median']:.2f}"] for name, f in networks.items()]
    return markdown_table(["eyeBlink on 202 labeled faces", "AUC", "median, closed", "median, open"], rows)


def flags() -> str:
    """Return precision and recall of each flag by the height at which the network saw the faces, small faces first."""
    measured = _read("expression/attributes")["flags"]
    sizes = [size for size, row in measured["smile"]["by_size"].items() if row["yes"]][::-1]
    cells = {name: [_precision_recall(figures["by_size"][size]) for size in sizes] for name, figures in measured.items()}
    rows = [[name.replace("_", " "), *row] for name, row in cells.items()]
    return markdown_table(["precision / recall (faces with the flag)", *sizes], rows)


def _precision_recall(row: dict[str, Any]) -> str:
    """Return the cell of a height; a dash where no face has the flag or gets it."""
    shares = ("–" if row[name] is None else f"{row[name]:.2f}" for name in ("precision", "recall"))
    return f"{' / '.join(shares)} ({row['yes']})"


def _read(name: str) -> Any:
    return json.loads((ACCURACY / f"{name}.json").read_text(encoding="utf-8"))


def _cells(bands: dict[str, Any]) -> list[str]:
    """Return the cells of one row; blink, smile and closed eyes are those of upright faces."""
    found = " / ".join(f"{100 * bands[yaw]['found']['value']:.1f}" if bands[yaw] else "–" for yaw in ("upright", "turned", "profile"))
    upright, turned = bands["upright"], bands["turned"]
    cells = [_with_interval(upright, "nme", 1), _with_interval(turned, "nme", 1)]
    cells += [_with_interval(upright, name, 1, with_bias=True) for name in ("blink", "smile")]
    return [found, *cells, _with_interval(upright, "closed_wrong", 100)]


def _with_interval(band: dict[str, Any], name: str, factor: float, with_bias: bool = False) -> str:
    figures = band.get(name)
    if not figures or figures["n"] < _MIN_FACES:
        return "–"
    if with_bias:
        return f"{figures['value']:.3f} ({figures['bias']:+.3f})"
    digits = 1 if factor > 1 else 2
    low, high = (f"{factor * x:.{digits}f}" for x in figures["interval"])
    return f"{factor * figures['value']:.{digits}f} ({low} to {high})"
