"""Takes in and out of files, by their ending: .npz, .csv (Live Link Face), .json and .jsonl."""

from __future__ import annotations

import json
import os
from pathlib import Path

from retarget.arkit import ARKIT_NAMES
from retarget.io.files import atomic_write, check_file
from retarget.performance.json_reader import read_json
from retarget.performance.livelink import read_csv, write_csv
from retarget.performance.take import Take

READ = (".npz", ".csv", ".json", ".jsonl")
WRITTEN = (".npz", ".csv", ".jsonl")


def read_take(path: str | os.PathLike[str]) -> Take:
    """A performance from any file that is understood. ValueError or FileNotFoundError with one line otherwise."""
    ending = Path(path).suffix.lower()
    if ending == ".csv":
        return read_csv(path)
    if ending in (".json", ".jsonl"):
        return read_json(path)
    if ending != ".npz":
        with check_file(path, f"a take: {', '.join(READ)}").open("rb") as file:
            is_archive = file.read(2) == b"PK"
        if not is_archive:
            raise ValueError(f"{path}: not a take (expected {', '.join(READ)}; the take comes first, then its characters)")
    return Take.load(path)


def write_take(take: Take, path: str | os.PathLike[str]) -> list[Path]:
    """Write a take as its ending says -> the files written. A .csv holds one person: of several, each gets a file of
    their own, NAME-person-ACTOR.csv."""
    target = Path(path)
    ending = target.suffix.lower()
    if ending == ".csv":
        actors = take.actors().tolist()
        files = [target] if len(actors) < 2 else [target.with_stem(f"{target.stem}-person-{a}") for a in actors]
        for file, actor in zip(files, actors or [0], strict=True):
            write_csv(take[take.actor == actor], file)
        return files
    if ending == ".jsonl":
        atomic_write(target, to_jsonl(take).encode())
    elif ending == ".npz":
        take.save(target)
    else:
        raise ValueError(f"{target}: a take is written as {', '.join(WRITTEN)}")
    return [target]


def to_jsonl(take: Take) -> str:
    """A line of JSON for each sample, in the take's order: {"time_s", "actor", "coefficients": {name: value},
    "rotation": [x, y, z, w], "translation": [x, y, z]}, units and axes as in `Take`."""
    lines = []
    for row in range(len(take)):
        sample = {
            "time_s": float(take.time_s[row]),
            "actor": int(take.actor[row]),
            "coefficients": dict(zip(ARKIT_NAMES, _rounded(take.coefficients[row]), strict=True)),
            "rotation": _rounded(take.rotation[row]),
            "translation": _rounded(take.translation[row]),
        }
        lines.append(json.dumps(sample, allow_nan=False, separators=(",", ":")) + "\n")
    return "".join(lines)


def _rounded(values: object) -> list[float]:
    return [float(f"{value:.7g}") for value in values.tolist()]  # type: ignore[attr-defined]
