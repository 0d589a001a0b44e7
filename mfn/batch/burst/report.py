"""Show a ranking: as text, as JSON, and as one self-contained HTML page with a crop of each person in each shot."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.batch.burst.rank import PENALTIES, Appearance, Ranking
from mfn.structures.crop_geometry import face_tile
from retarget.io.images import Image, encode_jpeg

_TILE_PX = 112
_JPEG_QUALITY = 80
_SHORT = {"eyes closed": "blink", "looks away": "away"}  # heads of the columns of the text table

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; padding: 0 1rem; max-width: 76rem; color: #1b1f24; background: #fff }
table { border-collapse: collapse } .wide { overflow-x: auto; margin-bottom: 2rem }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid #d8dee4; white-space: nowrap }
th { cursor: pointer; user-select: none; background: #f2f4f6 } th:first-child, td:first-child { text-align: left }
th[aria-sort=ascending]::after { content: " \\25b4" } th[aria-sort=descending]::after { content: " \\25be" }
tr.best td { background: #e7f5ea } .people td { vertical-align: top; text-align: left }
.people td { white-space: normal; max-width: 8rem }
.people th { cursor: default; text-align: left }
img { width: 112px; height: 112px; border-radius: 6px; display: block; border: 3px solid #2f9e51 }
img.bad { border-color: #d1383d } img.minor { border-color: #e0a52b }
img.unknown { border-color: #9aa4af } .none { color: #6a737d } small { color: #57606a }
@media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117 } th { background: #1b222b }
 th, td { border-color: #30363d } tr.best td { background: #12301b } small, .none { color: #9aa4af } }
</style></head><body>
<h1>$title</h1>
<p>$summary</p>
<div class="wide"><table id="shots"><thead><tr>$heads</tr></thead><tbody>$rows</tbody></table></div>
<h2>People, from the left</h2>
<p><small>Green: nothing wrong. Yellow: looks away or does not smile. Red: eyes closed, hidden, blurred.
Gray: a face that is too small, turned away or hidden. What is unknown there is not held against a shot.</small></p>
<div class="wide"><table class="people"><thead><tr><th>shot</th>$people</tr></thead><tbody>$crops</tbody></table></div>
<script>
document.querySelectorAll("#shots th").forEach((head, column) => head.addEventListener("click", () => {
  const up = head.getAttribute("aria-sort") !== "ascending", body = document.querySelector("#shots tbody");
  const value = row => { const cell = row.cells[column]; return cell.dataset.value ?? cell.textContent };
  const rows = [...body.rows].sort((a, b) => {
    const x = value(a), y = value(b), order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return up ? order : -order });
  document.querySelectorAll("#shots th").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  body.append(...rows) }));
</script></body></html>
""")


def ranking_table(ranking: Ranking) -> str:
    """Return the ranking as a table of text, a line for each shot, the best first."""
    width = max(len("shot"), *(len(shot.name) for shot in ranking.shots))
    heads = "".join(f"{_SHORT.get(problem, problem):>10}" for problem in PENALTIES)
    lines = [f"rank  {'shot':<{width}}  people{heads}  penalty"]
    for rank, s in enumerate(ranking.order, 1):
        counts = "".join(f"{ranking.count(s, problem):>10}" for problem in PENALTIES)
        people = len(ranking.people[s]) - ranking.count(s, "missing")
        lines.append(f"{rank:>4}  {ranking.shots[s].name:<{width}}  {people:>6}{counts}  {ranking.penalty[s]:>7.1f}")
    return "\n".join(lines)


def advice(ranking: Ranking) -> list[str]:
    """Say which shot is best, what is still wrong in it, and in which shots that is better: one sentence a line."""
    best = ranking.order[0]
    lines = [f"The best shot is {ranking.shots[best].name}."]
    for number, person in enumerate(ranking.people[best]):
        for problem in person.problems:
            others = ranking.better_shots(number, problem)
            better = f" Better: {', '.join(others[:3])}." if others else " No shot is better."
            lines.append(f"Person {number + 1} from the left: {problem}.{better}")
    unknown = [str(number) for number, person in enumerate(ranking.people[best], 1) if person.unknown]
    if not ranking.people[best]:
        lines.append("No person is in most of the shots.")
    elif len(lines) == 1 and not unknown:
        lines.append("Nothing is wrong with anybody in it.")
    elif len(lines) == 1:
        lines.append("Nothing wrong was found in it.")
    if unknown:
        lines.append(f"Too small, turned away or hidden, so look yourself (numbers from the left): {', '.join(unknown)}.")
    return lines


def ranking_json(ranking: Ranking) -> str:
    """Return the ranking as JSON text."""
    shots: list[dict[str, Any]] = []
    for rank, s in enumerate(ranking.order, 1):
        seen = enumerate(ranking.people[s], 1)
        people = [
            {"person": p, "face": a.face if a.face >= 0 else None, "problems": list(a.problems), "unknown": list(a.unknown)}
            for p, a in seen
        ]
        shots.append({"rank": rank, "shot": ranking.shots[s].name, "penalty": ranking.penalty[s], "people": people})
    return json.dumps({"format": 1, "shots": shots, "advice": advice(ranking)}, indent=1, ensure_ascii=False) + "\n"


def report_page(ranking: Ranking, read_pixels: Callable[[int], Image]) -> str:
    """Return one HTML page that needs no other file: the sortable table of the shots, and a crop of each person in each shot.

    Args:
        ranking: The ranking.
        read_pixels: Returns the picture (H, W, 3) uint8 RGB of a shot, by its number. Each is read once.
    """
    crops, rows = [], []
    for rank, s in enumerate(ranking.order, 1):
        shot, best = ranking.shots[s], ' class="best"' if rank == 1 else ""
        counts = "".join(f"<td>{ranking.count(s, problem)}</td>" for problem in PENALTIES)
        people = len(ranking.people[s]) - ranking.count(s, "missing")
        name = html.escape(shot.name)
        rows.append(f"<tr{best}><td>{name}</td><td>{rank}</td><td>{people}</td>{counts}<td>{ranking.penalty[s]:.1f}</td></tr>")
        pixels = read_pixels(s)
        cells = "".join(_cell(pixels, shot.faces.box, person) for person in ranking.people[s])
        crops.append(f"<tr><td>{name}</td>{cells}</tr>")
    heads = "".join(f"<th>{head}</th>" for head in ("shot", "rank", "people", *PENALTIES, "penalty"))
    numbers = "".join(f"<th>{p + 1}</th>" for p in range(len(ranking.people[0]) if ranking.people else 0))
    return _PAGE.substitute(
        title="Best shot of the group",
        summary="<br>".join(map(html.escape, advice(ranking))),
        heads=heads,
        rows="".join(rows),
        people=numbers,
        crops="".join(crops),
    )


def _cell(pixels: Image, boxes: NDArray[np.float32], person: Appearance) -> str:
    """Return a cell with the crop of a person and what is wrong."""
    if person.face < 0:
        return '<td class="none">not found</td>'
    if person.problems:
        kind = "minor" if set(person.problems) <= {"looks away", "no smile"} else "bad"
    else:
        kind = "unknown" if person.unknown else ""
    unknown = f"unknown: {', '.join(person.unknown)}" if person.unknown else ""
    text = html.escape("; ".join(filter(None, (", ".join(person.problems), unknown))) or "fine")
    data = base64.b64encode(encode_jpeg(face_tile(pixels, boxes[person.face], _TILE_PX), _JPEG_QUALITY)).decode()
    return f'<td><img class="{kind}" src="data:image/jpeg;base64,{data}" alt="{text}"><small>{text}</small></td>'
