"""The four charts of the MFN poster, re-made from the measured figures beside it: PNG and Markdown.

    python -m experiments.ablation.charts

(a) NME of single-scale MFN with labels of a single-scale SFN, with those of a multi-scale SFN, and of multi-scale MFN; (b) area under the
curve on videos; (c) detection AP of the detector alone and of joint training; (d) run time against the number of faces. The poster's own
figures (other data, another machine) stand in the tables' last rows for comparison of the trend alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments.accuracy.benchmarks import SETS
from experiments.speed.runtime import PEERS

RESULTS = Path(__file__).parents[1] / "results"
FOLDER = RESULTS / "ablation"
STEPS = {
    "single-single": "single-scale MFN,\nsingle-scale labels",
    "single-multi": "single-scale MFN,\nmulti-scale labels",
    "multi-multi": "multi-scale MFN,\nmulti-scale labels",
}
READING = """
What they say: (a) and (c) are of one run each, 900 steps from scratch on real photos alone, of the network before its last two blocks,
its local chain for the pose and its second look, and so far from done (the shipped large is at 2.7, 3.2, 2.7) that little can be said:
labels of a multi-scale SFN help on aflw2000 and youtube68, not on rendered heads, and several scales of MFN do not help at all; but
looked at through inputs of 656 x 368 px, three fifths of today's, the same weights stood in the poster's order on aflw2000, so steps of
one point mean nothing. At this length the detector alone detects as well as one that also learns faces. All four are measured through
the inputs and with the decoding that ship.
"""
POSTER_NME = {"single-single": 2.89, "single-multi": 2.65, "multi-multi": 2.23}
POSTER_AP = {"detection": 92.1, "single-multi": 98.2, "multi-multi": 98.8}


def read(name: str) -> dict[str, Any]:
    """A file of figures."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise SystemExit(f"{path}: not there; the script of the same folder writes it")
    return dict(json.loads(path.read_text()))


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def bars(path: Path, groups: list[str], series: dict[str, list[float]], label: str) -> None:
    """Bars side by side: one colour a series, one place a group."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.6), dpi=110)
    width = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        drawn = axes.bar(np.arange(len(groups)) + (i - (len(series) - 1) / 2) * width, values, width, label=name)
        axes.bar_label(drawn, fmt="%.2f", fontsize=8)
    axes.set_xticks(range(len(groups)), groups, fontsize=9)
    axes.set_ylabel(label)
    axes.margins(y=0.14)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        axes.legend(fontsize=8, frameon=False, ncols=3)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def nme_chart(ablation: dict[str, Any]) -> str:
    """(a)"""
    values = {n: [float(np.mean([seed[s]["aligned_nme all"] for seed in ablation[n]])) for s in SETS] for n in STEPS}
    bars(FOLDER / "chart_nme.png", list(STEPS.values()), {s: [values[n][i] for n in STEPS] for i, s in enumerate(SETS)}, "aligned NME, %")
    rows = [[STEPS[n].replace("\n", " "), *(f"{v:.2f}" for v in values[n]), f"{POSTER_NME[n]:.2f}"] for n in STEPS]
    return table(["NME, %", *SETS, "poster"], rows)


def auc_chart(auc: dict[str, Any]) -> str:
    """(b)"""
    scenarios = [s for s in next(iter(auc.values())) if s != "sha256"]
    bars(FOLDER / "chart_auc.png", scenarios, {n: [r[s]["auc"] for s in scenarios] for n, r in auc.items()}, "area under the curve")
    return table(["AUC, to 8 %", *scenarios], [[n, *(f"{r[s]['auc']:.3f}" for s in scenarios)] for n, r in auc.items()])


def ap_chart(ablation: dict[str, Any]) -> str:
    """(c)"""
    names = {"detection": "detector alone", "single-multi": "single-scale, joint", "multi-multi": "multi-scale, joint"}
    values = [100 * float(np.mean([seed["ap"] for seed in ablation[n]])) for n in names]
    bars(FOLDER / "chart_ap.png", list(names.values()), {"AP": values}, "AP, %")
    rows = [[names[n], f"{v:.1f}", f"{POSTER_AP[n]:.1f}"] for n, v in zip(names, values, strict=True)]
    return table(["AP, %", "group photos", "poster"], rows)


def runtime_chart(small: dict[str, Any], large: dict[str, Any]) -> str:
    """(d)"""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    curves = {"MFN small, to rig weights": small["to_rig_ms"], "MFN large, to rig weights": large["to_rig_ms"]}
    curves |= {"MFN large for boxes + SFN a face": large["separate_ms"], **PEERS}
    lines = {name: {int(n): float(ms) for n, ms in curve.items()} for name, curve in curves.items()}
    figure, axes = plt.subplots(figsize=(7, 3.6), dpi=110)
    for name, line in lines.items():
        axes.plot(list(line), list(line.values()), marker="o", markersize=4, label=name)
    axes.set_xlabel("faces in a 1280 x 720 frame")
    axes.set_ylabel("ms, one core")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(FOLDER / "chart_runtime.png")
    plt.close(figure)
    counts = sorted({n for line in lines.values() for n in line})
    return table(["ms, one core", *map(str, counts)], [[n, *(f"{c[k]:.1f}" if k in c else "–" for k in counts)] for n, c in lines.items()])


def main() -> None:
    """Draws, prints, writes."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "").parse_args()
    ablation = read("ablation/mfn_ablation")
    parts = {
        "chart_nme.png": ("(a) Points, by the labeller's and the network's scales (short runs)", nme_chart(ablation)),
        "chart_auc.png": ("(b) Area under the curve on video frames", auc_chart(read("accuracy/video_auc"))),
        "chart_ap.png": ("(c) Detection, alone and with the faces' parameters (short runs)", ap_chart(ablation)),
        "chart_runtime.png": ("(d) Run time against the number of faces", runtime_chart(read("speed/runtime_small"), read("speed/runtime"))),
    }
    text = "# The four charts of the MFN poster, on our data\n\nMade by `experiments/ablation/charts.py` from the JSON files beside it.\n" + READING
    text += "".join(f"\n## {title}\n\n![]({name})\n\n{rows}\n" for name, (title, rows) in parts.items())
    (FOLDER / "charts.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
