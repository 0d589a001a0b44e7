"""Read and write takes. The suffix of the file name chooses the format: .npz, .csv (Live Link Face), .json, .jsonl, .txt (iFacialMocap)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.io.files import atomic_write, check_file, decode_text
from retarget.performance.ifacialmocap import from_text, to_text
from retarget.performance.json_reader import read_json
from retarget.performance.livelink_csv import read_csv, write_csv
from retarget.performance.take import Take

READ_SUFFIXES = (".npz", ".csv", ".json", ".jsonl", ".txt")
WRITE_SUFFIXES = (".npz", ".csv", ".jsonl", ".txt")


def read_take(path: str | os.PathLike[str], code_rate: float | None = None, focal_px: float | None = None) -> Take:
    """Read a take from a file.

    Args:
        path: A .npz (`Take.save`), .csv (Live Link Face), .json or .jsonl (see `json_reader`) or .txt file
            (iFacialMocap). A file with another suffix is read as .npz if it is an archive.
        code_rate: Frames a second of the time codes of a .csv file. None: found from the file.
        focal_px: Focal length of the camera of a .json or .jsonl file, px of its picture; it places the faces that
            `mfn detect` wrote. None: as the file states it, else 1.2 times the longer side of the picture. In other files
            people have their places.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no take, or it is damaged. The message is one line.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        return read_csv(path, code_rate=code_rate)
    if suffix in (".json", ".jsonl"):
        return read_json(path, focal_px=focal_px)
    if suffix == ".txt":
        check_file(path, "iFacialMocap samples, one a line")
        try:
            text = decode_text(Path(path).read_bytes())
        except UnicodeDecodeError:
            raise ValueError(f"{path}: not a text (expected iFacialMocap samples, one a line)") from None
        return from_text(text, str(path))
    if suffix != ".npz":
        with check_file(path, f"a take: {', '.join(READ_SUFFIXES)}").open("rb") as file:
            is_archive = file.read(2) == b"PK"
        if not is_archive:
            raise ValueError(f"{path}: not a take (expected {', '.join(READ_SUFFIXES)}; give the take first, then the rigs)")
    return Take.load(path)


def write_take(take: Take, path: str | os.PathLike[str]) -> list[Path]:
    """Write a take in the format that the suffix names.

    Args:
        take: The performance.
        path: The .npz, .csv, .jsonl or .txt file to write. An existing file is replaced only when the new one is complete.

    Returns:
        The files that were written. A .csv or .txt file holds one person, so a take of several people is written as one
        file for each: NAME-person-ACTOR.csv.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix in (".csv", ".txt"):
        actors = take.actors().tolist()
        files = [target] if len(actors) < 2 else [target.with_stem(f"{target.stem}-person-{a}") for a in actors]
        for file, actor in zip(files, actors or [0], strict=True):
            one = take[take.actor == actor]
            if suffix == ".csv":
                write_csv(one, file)
            else:
                atomic_write(file, to_text(one).encode())
        return files
    if suffix == ".jsonl":
        atomic_write(target, to_jsonl(take).encode())
    elif suffix == ".npz":
        take.save(target)
    else:
        raise ValueError(f"{target}: expected a take's file name that ends in {', '.join(WRITE_SUFFIXES)}")
    return [target]


def to_jsonl(take: Take) -> str:
    """Format a take as JSON lines, one sample a line, in the order of the take.

    Returns:
        Lines such as `{"time_s": 0.0, "actor": 0, "coefficients": {"jawOpen": 0.4, …}, "rotation": [x, y, z, w],
        "translation": [x, y, z]}`, with the units and axes of `Take` and 7 significant digits. Each line ends with
        what is known of the footage: `"footage": {"width": 1280, …}`.
    """
    lines, footage = [], take.footage.known()
    for row in range(len(take)):
        sample = {
            "time_s": float(take.time_s[row]),
            "actor": int(take.actor[row]),
            "coefficients": dict(zip(ARKIT_NAMES, _rounded(take.coefficients[row]), strict=True)),
            "rotation": _rounded(take.rotation[row]),
            "translation": _rounded(take.translation[row]),
            **({"footage": footage} if footage else {}),
        }
        lines.append(json.dumps(sample, allow_nan=False, separators=(",", ":")) + "\n")
    return "".join(lines)


def _rounded(values: NDArray[Any]) -> list[float]:
    """Numbers with 7 significant digits, which is what a float32 holds."""
    return [float(f"{value:.7g}") for value in values.tolist()]
