"""Draw the four charts of the MFN poster from our own figures.

    python -m experiments.accuracy.ablation.charts

The script reads experiments/results/{ablation/mfn_ablation, video/video_auc, speed/runtime, speed/runtime_small}.json
and writes charts.md and four PNGs into experiments/results/ablation/charts:

(a) NME of single-scale MFN with the labels of a single-scale SFN, with those of a multi-scale SFN, and of multi-scale MFN;
(b) area under the curve on video frames; (c) AP of the detector alone and of joint training; (d) run time against the
number of faces. The last column of a table holds the poster's figures; they come from other data and another machine,
so only the trend can be compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.accuracy.evaluation_sets import EVALUATION_SETS
from experiments.common import RESULTS, Figures, make_parser, markdown_table, pyplot
from experiments.speed.runtime import PEERS
from retarget.io.files import atomic_write

RUNS = {
    "single-single": "single-scale MFN,\nsingle-scale labels",
    "single-multi": "single-scale MFN,\nmulti-scale labels",
    "multi-multi": "multi-scale MFN,\nmulti-scale labels",
}
JOINT_RUNS = {"detection": "detector alone", "single-multi": "single-scale, joint", "multi-multi": "multi-scale, joint"}
POSTER_NME = {"single-single": 2.89, "single-multi": 2.65, "multi-multi": 2.23}
POSTER_AP = {"detection": 92.1, "single-multi": 98.2, "multi-multi": 98.8}
HEADING = "# The four charts of the MFN poster, on our data\n\n`python -m experiments.accuracy.ablation.charts` makes this page.\n"
READING = """
How to read them: (a) and (c) come from one run each. A run has 900 steps, starts from scratch and uses real photos only. Its network lacks
the last two blocks, the local chain for the pose and the refinement step of today's network. The runs are far from finished (the shipped
large has 2.7, 3.3 and 2.7 %), so they allow few conclusions. The labels of a multi-scale SFN help on aflw2000 and youtube68, not on
rendered heads; several scales of MFN do not help. With an input of 656 x 368 px, three fifths of today's, the same weights had the poster's
order on aflw2000, so differences of one percent mean nothing. After so few steps the detector alone detects as well as one that also
learns faces. They were measured with the decoding of their time; (b) and (d) are of today's networks.
docs/results.md compares several scales with one in SFN, from a trained trunk and with three seeds:
there several scales are better.
"""


def read(results: Path, name: str) -> Figures:
    """Read a report.

    Raises:
        FileNotFoundError: There is no such report.
    """
    path = results / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"expected a report at {path}: the script that writes it is in experiments/{Path(name).parent}")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def draw_bars(path: Path, groups: Sequence[str], series: Mapping[str, Sequence[float]], label: str) -> None:
    """Draw bars side by side: one color a series, one place a group."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7, 3.6), dpi=110)
    width = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        bars = axes.bar(np.arange(len(groups)) + (i - (len(series) - 1) / 2) * width, values, width, label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.set_xticks(range(len(groups)), groups, fontsize=9)
    axes.set_ylabel(label)
    axes.margins(y=0.14)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        axes.legend(fontsize=8, frameon=False, ncols=3)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def nme_chart(folder: Path, runs: Mapping[str, Sequence[Figures]]) -> str:
    """Draw chart (a) and return its table."""
    mean = {s: [float(np.mean([seed[s]["aligned_nme all"] for seed in runs[name]])) for name in RUNS] for s in EVALUATION_SETS}
    draw_bars(folder / "chart_nme.png", list(RUNS.values()), mean, "aligned NME, %")
    rows = [
        [title.replace("\n", " "), *(f"{mean[s][i]:.2f}" for s in EVALUATION_SETS), f"{POSTER_NME[name]:.2f}"]
        for i, (name, title) in enumerate(RUNS.items())
    ]
    return markdown_table(["NME, %", *EVALUATION_SETS, "poster"], rows)


def auc_chart(folder: Path, networks: Mapping[str, Figures]) -> str:
    """Draw chart (b) and return its table."""
    scenarios = list(next(iter(networks.values())))
    series = {name: [row[s]["auc"] for s in scenarios] for name, row in networks.items()}
    draw_bars(folder / "chart_auc.png", scenarios, series, "area under the curve")
    return markdown_table(["AUC, to 8 %", *scenarios], [[name, *(f"{v:.3f}" for v in values)] for name, values in series.items()])


def ap_chart(folder: Path, runs: Mapping[str, Sequence[Figures]]) -> str:
    """Draw chart (c) and return its table."""
    values = [100 * float(np.mean([seed["ap"] for seed in runs[name]])) for name in JOINT_RUNS]
    draw_bars(folder / "chart_ap.png", list(JOINT_RUNS.values()), {"AP": values}, "AP, %")
    rows = [[JOINT_RUNS[name], f"{value:.1f}", f"{POSTER_AP[name]:.1f}"] for name, value in zip(JOINT_RUNS, values, strict=True)]
    return markdown_table(["AP, %", "group photos", "poster"], rows)


def runtime_chart(folder: Path, small: Figures, large: Figures) -> str:
    """Draw chart (d) and return its table."""
    plt = pyplot()
    curves = {"MFN small, to rig weights": small["to_rig_ms"], "MFN large, to rig weights": large["to_rig_ms"]}
    curves |= {"MFN large for boxes + SFN a face": large["separate_ms"], **PEERS}
    lines = {name: {int(count): float(ms) for count, ms in curve.items()} for name, curve in curves.items()}
    figure, axes = plt.subplots(figsize=(7, 3.6), dpi=110)
    for name, line in lines.items():
        axes.plot(list(line), list(line.values()), marker="o", markersize=4, label=name)
    axes.set_xlabel("faces in a 1280 x 720 frame")
    axes.set_ylabel("ms, one core")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(folder / "chart_runtime.png")
    plt.close(figure)
    counts = sorted({count for line in lines.values() for count in line})
    rows = [[name, *(f"{line[n]:.1f}" if n in line else "–" for n in counts)] for name, line in lines.items()]
    return markdown_table(["ms, one core", *counts], rows)


def draw_charts(results: Path, folder: Path) -> str:
    """Draw all charts into a folder and return the page that shows them."""
    runs = read(results, "ablation/mfn_ablation")["runs"]
    networks = read(results, "video/video_auc")["networks"]
    small, large = read(results, "speed/runtime_small"), read(results, "speed/runtime")
    sections = (
        ("(a) Points, by the scales of the labeler and of MFN (short runs)", "chart_nme.png", nme_chart(folder, runs)),
        ("(b) Area under the curve on video frames", "chart_auc.png", auc_chart(folder, networks)),
        ("(c) Detection, alone and trained jointly (short runs)", "chart_ap.png", ap_chart(folder, runs)),
        ("(d) Run time against the number of faces", "chart_runtime.png", runtime_chart(folder, small, large)),
    )
    return HEADING + READING + "".join(f"\n## {title}\n\n![{title}]({name})\n\n{rows}\n" for title, name, rows in sections)


def main() -> None:
    """Run the command."""
    make_parser(__doc__).parse_args()
    folder = RESULTS / "ablation" / "charts"
    page = draw_charts(RESULTS, folder)
    atomic_write(folder / "charts.md", page.encode())
    print(page)


if __name__ == "__main__":
    main()
