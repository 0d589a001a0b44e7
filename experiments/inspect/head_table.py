"""The tables of the head model: its expression shapes, and fits to colors. For `experiments.inspect.tables`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.common import markdown_table
from experiments.labels.expression_units import reach_of

RESULTS = Path(__file__).parents[1] / "results"
_PARTS = ("all points", "lids", "lips")


def photometric() -> str:
    """Return the error of landmarks alone and its change by the colors, part by part."""
    report = _read("ablation/photometric")
    rows = []
    for way in ("colors", "colors and mesh prior"):
        for faces in ("all faces", "profiles"):
            figures = report[way][faces]
            cells = []
            for part in map(figures.get, _PARTS):
                low, high = part["interval"]
                cells.append(f"{part['landmarks']:.2f} {part['difference']:+.2f} ({low:+.2f} to {high:+.2f})")
            rows.append([way, f"{faces} ({figures['faces']})", *cells, f"{report[way]['seconds of one core a face']:.1f}"])
    return markdown_table(["fit", "faces", *(f"{part}, %" for part in _PARTS), "CPU s a face"], rows)


def expression_reach() -> str:
    """Return how far each shape moves, Left and Right as one; those that were rescaled first."""
    rows: dict[str, list[str]] = {}
    for name, row in sorted(_read("head_model/measure/expression_reach")["shapes"].items(), key=lambda item: reach_of(item[0]) is None):
        pair = name if name.startswith(("jaw", "mouthLeft", "mouthRight")) else name.removesuffix("Left").removesuffix("Right")
        rows[pair] = [f"{100 * row['arkit']:.1f}", f"{row['ict']:.2f}", f"{row['ours']:.2f}", "yes" if reach_of(name) else "no"]
    head = ["shape", "ARKit, % of the width", "before, of ARKit's", "now, of ARKit's", "rescaled"]
    return markdown_table(head, [[name, *row] for name, row in rows.items()])


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
