"""The table of the networks `free` beside those for research, for `experiments.inspect.tables`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.common import markdown_table

RESULTS = Path(__file__).parents[1] / "results"
SETS = ("aflw2000", "facesynthetics", "youtube68")
YAWS = ("0-30", "30-60", "60+", "all")


def free() -> str:
    """Return each figure of `large`, of `free`, and how far `free` is behind."""
    rows = [_nme(*pair) for pair in zip(_errors("accuracy/accuracy"), _errors("free/accuracy"), strict=True)]
    crowds = ("parties", "streets", "masks", "wider")
    for key, text in (("ap", "average precision"), ("recall", "found at the default score")):
        pairs = [(name, _found("accuracy/crowds", "large", name, key), _found("free/crowds", "free", name, key)) for name in crowds]
        rows += [_higher(f"{name}: {text}", *figures) for name, *figures in pairs]
    groups = [_read(f"{folder}/groups") for folder in ("accuracy/groups", "free")]
    rows += [_higher(f"group photos: {key}", groups[0][key], groups[1][key]) for key in ("recall", "precision")]
    counts = [_read(f"{folder}/false_faces")["networks"][name] for folder, name in (("accuracy", "large"), ("free", "free"))]
    false = [f"{count['with a false face, by score']['0.55']} of {count['photos']}" for count in counts]
    rows.append(["photos without faces that get one", *false, ""])
    winks = [_read(f"{folder}/winks")["networks"][name] for folder, name in (("accuracy/expression", "large"), ("free", "free"))]
    rows.append(_higher("winks: difference of the two lids", *(w["wink"]["difference"] for w in winks)))
    clips = [_read(f"{folder}/clips")["networks"][name]["all"] for folder, name in (("accuracy/expression", "large"), ("free", "free"))]
    kinds = (("correlation", "correlation with MediaPipe"), ("gain", "size of movements, MediaPipe's is 1"))
    rows += [_higher(f"clips: {text}", clips[0][key], clips[1][key]) for key, text in kinds]
    return markdown_table(["", "`large`", "`free`", "`free` is worse by"], rows)


def _errors(name: str) -> list[tuple[str, float, int]]:
    """Return the name of each set, and of each band of yaw, with its aligned NME in percent and the faces that are missed."""
    found = _read(name)["sets"]
    bands = [("aflw2000", yaw) for yaw in YAWS] + [(key, "all") for key in SETS[1:]]
    names = [f"{key}, yaw {yaw}" if key == "aflw2000" else key for key, yaw in bands]
    return [(name, found[key][f"aligned_nme {yaw}"], found[key]["missed"]) for name, (key, yaw) in zip(names, bands, strict=True)]


def _nme(one: tuple[str, float, int], other: tuple[str, float, int]) -> list[str]:
    """Return the row of an error, of which less is better. Missed faces are named once a set, and do not enter the mean."""
    whole = "yaw" not in one[0] or one[0].endswith("all")
    texts = [f"{error:.2f}" + (f" ({missed} missed)" if missed and whole else "") for _, error, missed in (one, other)]
    return [f"aligned NME, %: {one[0]}", *texts, f"{round(100 * (other[1] / one[1] - 1))} %"]


def _higher(name: str, one: float, other: float) -> list[str]:
    """Return the row of a figure of which more is better."""
    return [name, f"{one:.3f}", f"{other:.3f}", f"{round(100 * (1 - other / one))} %"]


def _found(name: str, detector: str, photos: str, key: str) -> float:
    return float(_read(name)["sets"][photos]["detectors"][detector]["all"][key])


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
