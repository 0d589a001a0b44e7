"""Write the tables of README.md and docs/results.md from the figures in experiments/results.

    python -m experiments.inspect.tables            # write every table between its markers
    python -m experiments.inspect.tables --check    # exit code 1 if a page does not show today's figures

A page marks the place of a table with `<!-- table: NAME -->` and `<!-- end -->`; TABLES has the names.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.inspect.free_table import free
from experiments.inspect.head_table import expression_reach, photometric
from experiments.inspect.people_table import eyelids, face_size, flags, follow, people
from experiments.speed.readers import readers
from mfn.inference.model_zoo import MODELS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
FACES = "100"  # in the frames of which README.md gives the time
YAWS = ("0-30", "30-60", "60+")
_SINGLE_FACE_HEAD = ["aligned NME, %", "aflw2000 0–30 / 30–60 / 60+", "facesynthetics", "youtube68", "pose, deg", "expression"]

Rows = list[list[str]]


def read(name: str) -> Any:
    """Return the figures of experiments/results/NAME.json."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def ours() -> dict[str, Any]:
    """Return the accuracy of the shipped network: set -> figures."""
    return dict(read("accuracy/accuracy")["sets"])


def runtimes() -> dict[str, Any]:
    """Return the run times of both models: name -> figures."""
    return {"large": read("speed/runtime"), "small": read("speed/runtime_small")}


def markdown(head: list[str], rows: Rows) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def models() -> str:
    """Return the table of the two models."""
    rows = []
    for name, times in runtimes().items():
        model = MODELS[name]
        found = [f"{times['found'][count]} of {count}" for count in ("100", "200")]
        rows.append([f"`{name}`", f"{times['to_rig_ms'][FACES]:.0f}", *found, f"{model.min_face_px:.0f} px", f"{model.frame_faces} faces"])
    time = f"ms a frame of {FACES} faces, one CPU core"
    head = ["model", time, "found of 60 px", "found of 40 px", "looks for faces from", "readers read at most"]
    return markdown(head, rows)


def accuracy_short() -> str:
    """Return the aligned NME of ours and of peers, a column a set."""
    rows = []
    for name, sets in (*read("peers")["accuracy"].items(), ("**mfn**", ours())):
        missed = sum(figures["missed"] for figures in sets.values())
        of = sum(figures["pictures"] for figures in sets.values())
        rows.append([name, *(f"{figures['aligned_nme all']:.2f}" for figures in sets.values()), f"{missed} of {of}"])
    return markdown(["aligned NME of 68 points, %", "AFLW2000-3D", "FaceSynthetics", "YouTube Faces", "faces missed"], rows)


def accuracy() -> str:
    """Return aligned and raw NME by set and, on AFLW2000-3D, by yaw."""
    head = ["aligned (raw) NME, %", "aflw2000 yaw 0–30 / 30–60 / 60+ / all", "missed", "facesynthetics", "missed", "youtube68", "missed"]
    rows = []
    for name, sets in (*read("peers")["accuracy"].items(), ("**MFN**", ours())):
        row = [name]
        for key, figures in sets.items():
            bands = [f"aligned_nme {band}" for band in YAWS] if key == "aflw2000" else []
            text = " / ".join(f"{figures[band]:.2f}" for band in [*bands, "aligned_nme all"])
            row += [f"{text} ({figures['nme all']:.2f})", f"{figures['missed']} of {figures['pictures']}"]
        rows.append(row)
    sfn = read("accuracy/single_face")["networks"]["sfn"]
    row = ["SFN, one crop for each of MFN's boxes"]
    for key in ours():
        bands = [f"{key} aligned {band}" for band in YAWS] if key == "aflw2000" else []
        text = " / ".join(f"{sfn[band]:.2f}" for band in [*bands, f"{key} aligned all"])
        pictures = ours()[key]["pictures"]
        row += [f"{text} ({sfn[f'{key} raw all']:.2f})", f"{sfn[f'{key} missed']} of {pictures}"]
    return markdown(head, [*rows, row])


def pose() -> str:
    """Return the errors of the three angles on AFLW2000-3D."""
    figures = ours()["aflw2000"]["pose_error_all_within_99_deg"]
    rows = [["MFN", *(f"{figures[key]:.1f}" for key in ("pitch", "yaw", "roll", "mean")), str(figures["faces"])]]
    return markdown(["mean error, degrees", "pitch", "yaw", "roll", "mean", "faces"], rows)


def runtime() -> str:
    """Return milliseconds a frame by the number of faces in it."""
    counts = list(runtimes()["large"]["to_rig_ms"])
    rows = [
        [f"**{name}: frame to rig weights**", *(f"{figures['to_rig_ms'][n]:.1f}" for n in counts)]
        for name, figures in runtimes().items()
    ]
    rows.append(["large for the boxes, then SFN on a crop of each", *(f"{runtimes()['large']['separate_ms'][n]:.0f}" for n in counts)])
    rows += [[name, *(f"{ms[n]:g}" if n in ms else "–" for n in counts)] for name, ms in read("peers")["to_rig_ms"].items()]
    rows += [[f"faces that {name} finds", *(str(figures["found"][n]) for n in counts)] for name, figures in runtimes().items()]
    return markdown(["ms, one core, 1280 × 720, by faces in the frame", *counts], rows)


def detection() -> str:
    """Return average precision on the 17 group photos."""
    rows = []
    for name in ("groups_32", "groups"):
        figures = read(f"accuracy/groups/{name}")
        rows.append([f"faces from {figures['min_face_px']:.0f} px", str(figures["faces"])])
        rows[-1] += [f"{figures[key]:.3f}" for key in ("ap", "recall", "precision")]
    return markdown(["large on 17 group photos, IoU 0.5", "faces", "AP", "recall", "precision"], rows)


def false_faces() -> str:
    """Return how many of the photos without faces get a false one."""
    figures = read("accuracy/false_faces")["networks"]
    scores = list(figures["large"]["with a false face, by score"])
    rows = [["MFN", *(str(figures["large"]["with a false face, by score"][s]) for s in scores), str(figures["large"]["photos"])]]
    return markdown(["photos with a false face, by score", *scores, "photos"], rows)


def crowds() -> str:
    """Return how well each detector finds the faces whose boxes people drew."""
    sets = read("accuracy/crowds")["sets"]
    parts = {f"{name}, {found['detectors']['large']['all']['faces']} faces": found["detectors"] for name, found in sets.items()}
    labels = list(next(iter(parts.values())))
    values = {label: [part[label]["all"] for part in parts.values()] for label in labels}
    rows = [[label, *(f"{f['ap']:.3f} ({f['recall']:.2f} / {f['precision']:.2f})" for f in values[label])] for label in labels]
    return markdown(["AP (recall / precision), IoU 0.4", *parts], rows)


def crowd_turns() -> str:
    """Return what a crowd's expressions gain when the readers take turns."""
    people = read("video/crowd_turns")["people"]
    names = {"by itself": "16, each frame by itself", "in turns": "16, in turns", "all read": "all"}
    figures = {"found": 2, "too many": 2, "error": 3, "r": 2, "gain": 2, "height jitter, %": 2, "angle jitter, deg": 2}
    rows = [
        [count, name, *(f"{ways[key][figure]:.{digits}f}" for figure, digits in figures.items())]
        for count, ways in people.items()
        for key, name in names.items()
    ]
    head = ["people", "faces read in a frame", "found", "too many", "error of a weight", "correlation", "gain"]
    return markdown([*head, *list(figures)[len(head) - 2 :]], rows)


def single_face() -> str:
    """Return the table of the networks that read one crop a face."""
    head = [*_SINGLE_FACE_HEAD, "jitter, still / clips, %", "MB", "ms"]
    names = {
        "sfn": "**SFN**",
        "sfn*2": "SFN, mean of two crops",
        "mobileface": "MobileFace",
        "prnet": "PRNet",
        "dense520-branches": "520 points, from SFN",
        "dense520": "520 points, MobileNetV2",
        "tddfa-vdc-landmarks": "3DDFA_V2, VDC and landmark regression, SFN's features",
        "tddfa": "3DDFA_V2, meta-joint, SFN's features",
    }
    return markdown(head, [_single_face_row(name, read("accuracy/single_face")["networks"][key]) for key, name in names.items()])


def _single_face_row(name: str, f: dict[str, Any]) -> list[str]:
    bands = " / ".join(f"{f[f'aflw2000 aligned {band}']:.2f}" for band in YAWS)
    sets = [f"{f[f'{key} aligned all']:.2f}" for key in ("facesynthetics", "youtube68")]
    expression = f"{f['expression_error']:.3f}" if "expression_error" in f else "–"
    jitter = f"{f['still_jitter_percent']:.2f} / {f['clip_jitter_percent']:.2f}"
    rest = [f"{f['pose_error_all_within_99_deg']:.1f}", expression, jitter, f"{f['file_megabytes']:.1f}", f"{f['ms_one_core']:.1f}"]
    return [name, bands, *sets, *rest]


def hard_faces() -> str:
    """Return what three kinds of labels of hard faces change in SFN."""
    names = {"sfn": "SFN", "hard-sfn": "of SFN itself", "hard-colors": "after a fit of the colors", "hard-landmarks": "fitted to landmarks"}
    figures = read("accuracy/hard_faces")["networks"]
    return markdown(_SINGLE_FACE_HEAD, [_single_face_row(name, figures[key])[: len(_SINGLE_FACE_HEAD)] for key, name in names.items()])


def sfn_ablation() -> str:
    """Return what several scales, profiles and synthetic heads change in SFN."""
    names = {
        "multi": "multi-scale, 3 seeds",
        "single": "single-scale, 3 seeds",
        "no profiles or heads": "multi-scale, no profiles, no synthetic heads",
        "no heads": "multi-scale, profiles, no synthetic heads",
    }
    return _scales("ablation/sfn_ablation", names)


def sfn_ablation_warm() -> str:
    """Return what several scales change in SFN whose trunk is trained."""
    return _scales("ablation/sfn_ablation_warm", {"multi": "multi-scale, 3 seeds", "single": "single-scale, 3 seeds"})


def mfn_ablation_warm() -> str:
    """Return what several scales change in MFN whose backbone is trained."""
    report = read("ablation/mfn_ablation_warm")
    means = {name: report["summary"][name]["mean"] for name in ("multi", "single")}
    rows = [[f"{name}-scale, 3 seeds", *(_percent(value, k) for k, value in enumerate(mean))] for name, mean in means.items()]
    single = enumerate(report["against_multi"]["single"])
    gaps = [f"{_percent(gap['difference'], k, '+')} ± {_percent(gap['interval95'], k)}" for k, gap in single]
    head = ["aligned NME, %", "aflw2000 0–30", "30–60", "60+", "all", "facesynthetics", "youtube68", "average precision, %"]
    return markdown(head, [*rows, ["single minus multi, 95 % interval over seeds", *gaps]])


def _percent(value: float, column: int, sign: str = "") -> str:
    """Return a figure of `mfn_ablation_warm`; the average precision, in the last column, is a share."""
    return f"{100 * value if column == 6 else value:{sign}.{1 if column == 6 else 2}f}"


def _scales(file: str, names: dict[str, str]) -> str:
    """Return the table of an ablation of SFN. `names`: run -> row; the first is multi-scale, the second single-scale."""
    runs = read(file)
    columns = range(len(runs["columns"]))
    rows = [[name, *(_figure(runs["runs"][key]["mean"][k], k) for k in columns)] for key, name in names.items()]
    gap = runs["against_multi"]["single"]
    differences = [f"{gap[k]['difference']:+.{_digits(k)}f} ± {gap[k]['interval95']:.{_digits(k)}f}" for k in columns]
    rows.insert(2, ["single minus multi, 95 % interval over seeds", *differences])
    return markdown(["aligned NME, %", "aflw2000 0–30", "30–60", "60+", "all", "facesynthetics", "youtube68", "expression"], rows)


def _digits(column: int) -> int:
    return 3 if column == 6 else 2  # the last column is the error of an expression weight, the others are percent


def _figure(value: float, column: int) -> str:
    return f"{value:.{_digits(column)}f}"


def tddfa() -> str:
    """Return 3DDFA_V2's parts: its losses at the same number of steps, then its short videos."""
    names = {
        "tddfa-pdc": "squared parameters (PDC)",
        "tddfa-wpdc": "WPDC",
        "tddfa-fwpdc": "fast WPDC",
        "tddfa-vdc": "VDC",
        "tddfa-vdc-landmarks": "VDC and landmark regression",
        "tddfa": "meta-joint of fast WPDC and VDC",
        "tddfa-frames1": "400 steps of single crops",
        "tddfa-frames4": "400 steps of short videos",
    }
    rows = [_single_face_row(name, read("accuracy/single_face")["networks"][key])[:6] for key, name in names.items()]
    return markdown(_SINGLE_FACE_HEAD, rows)


def engine() -> str:
    """Return how much training data one core makes a second."""
    rows = [[name.replace(" a second", ""), f"{count:.0f}"] for name, count in read("speed/engine_speed")["figures"].items()]
    return markdown(["made by one CPU core", "a second"], rows)


def drawing() -> str:
    """Return the CPU time of drawing three characters."""
    found = read("speed/drawing")
    rows = [["NumPy, before", str(found["before_ms_of_a_frame"]), ""]]
    for way, name in (("numpy", "NumPy"), ("opengl", "OpenGL without a GPU (Mesa's llvmpipe)")):
        rows.append([name, str(found[f"{way}_ms_of_a_frame"]), f"{100 - found[f'{way}_picture']['percent_above_2']:.2f}"])
    return markdown(["drawn with", "CPU ms", "pixels that differ from before by 2 of 255 gray levels at most, %"], rows)


def tracking() -> str:
    """Our tracker beside ByteTrack on simulated clips."""
    keys = ("hota", "idf1", "mota", "switches", "people_mean", "tracks_mean", "tracks_of_nobody", "tracks_of_several")
    shown = [(case, name, case["trackers"][name]) for case in read("video/tracking")["cases"] for name in ("mfn", "bytetrack")]
    text = "{people} people, {cuts} cuts, {false} false faces".format
    rows = [[text(**case) + ", one at a time" * case["dialogue"], name, *(f"{row[key]:g}" for key in keys)] for case, name, row in shown]
    return markdown(["clip", "tracker", *(key.replace("_", " ") for key in keys)], rows)


TABLES: dict[str, Callable[[], str]] = {
    table.__name__: table
    for table in (
        *(models, accuracy_short, accuracy, pose, runtime, readers, detection, false_faces, crowds, crowd_turns, face_size),
        *(eyelids, flags, single_face, sfn_ablation, sfn_ablation_warm, mfn_ablation_warm, tddfa, engine, drawing, tracking),
        *(people, follow, photometric, hard_faces, expression_reach, free),
    )
}


def filled(text: str) -> str:
    """Return a page's text with today's tables."""
    return PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]]()}\n\n{place[3]}", text)


def main() -> int:
    """Write or check the pages and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is out of date")
    check = parser.parse_args().check
    old = 0
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        if text != filled(text):
            old += 1
            if check:
                print(f"{path.relative_to(ROOT)} is out of date: python -m experiments.inspect.tables", file=sys.stderr)
            else:
                path.write_text(filled(text), encoding="utf-8")
    return int(check and old > 0)


if __name__ == "__main__":
    sys.exit(main())
