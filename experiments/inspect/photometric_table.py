"""The table of fits to colors, for `experiments.inspect.tables`."""

from __future__ import annotations

import json
from pathlib import Path

from experiments.common import markdown_table

REPORT = Path(__file__).parents[1] / "results" / "ablation" / "photometric.json"
_PARTS = ("all points", "lids", "lips")


def photometric() -> str:
    """Return the error of landmarks alone and its change by the colors, part by part."""
    report = json.loads(REPORT.read_text(encoding="utf-8"))
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
