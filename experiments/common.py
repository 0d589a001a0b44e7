"""Share what the experiments have in common: reports, command lines, tables and picture grids."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.inference.model_zoo import DEFAULT_MODEL, MODELS, default_eye_reader, default_portrait_reader, default_reader
from retarget.io.files import atomic_write
from retarget.io.images import Image

RESULTS = Path(__file__).parent / "results"

Figures = dict[str, Any]
_RESAMPLES = 1000  # of a bootstrap
_HEADER_KEYS = ("script",)
_TIMING = re.compile(r"second|minute|fastest|(^|[_/ ])(ms|us)([_/ ]|$)")


def make_parser(doc: str | None, out: Path | None = None) -> argparse.ArgumentParser:
    """Make a parser whose help is the script's docstring.

    Args:
        doc: The module's `__doc__`.
        out: Default place of the report. If it is given, the parser gets `--out` and `--check` for `save_report`.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if out is not None:
        parser.add_argument("--out", type=Path, default=out, help="JSON file of the figures")
        parser.add_argument("--check", action="store_true", help="compare with the figures in --out and write nothing")
    return parser


def add_eval_option(parser: argparse.ArgumentParser) -> None:
    """Add `--eval`, the folder of the evaluation sets."""
    parser.add_argument("--eval", type=Path, default=Path("../shared/eval"), help="folder of the evaluation sets")


def add_packs_option(parser: argparse.ArgumentParser, default: Mapping[str, float]) -> None:
    """Add `--pack NAME=SHARE`, which may be repeated: the packs that are read, and the share of the pictures that comes from each."""
    text = f"pack in faces/ and its share of the pictures (default: {' '.join(f'{name}={share}' for name, share in default.items())})"
    parser.add_argument("--pack", action="append", metavar="NAME=SHARE", help=text)
    parser.set_defaults(default_packs=dict(default))


def packs_of(options: argparse.Namespace) -> dict[str, float]:
    """Return name and share of the packs that were chosen with `--pack`.

    Raises:
        SystemExit: A share is no number above 0.
    """
    if not options.pack:
        return dict(options.default_packs)
    named = {name: value for name, _, value in (text.partition("=") for text in options.pack)}
    try:
        shares = {name: float(value or 1) for name, value in named.items()}
    except ValueError:
        shares = {}
    if not shares or min(shares.values()) <= 0:
        raise SystemExit(f"--pack: expected NAME=SHARE with a share above 0, such as lfw=0.7, got {' '.join(options.pack)}")
    return shares


def add_networks_argument(parser: argparse.ArgumentParser) -> None:
    """Add the multi-face networks that are measured; by default the shipped one."""
    parser.add_argument("networks", nargs="*", default=["large=large"], help="NAME=FILE.onnx, NAME=large or NAME=free")


def split_named(arguments: Iterable[str]) -> dict[str, str]:
    """Split arguments NAME=VALUE.

    Raises:
        ValueError: An argument has no name or no value, or a name is given twice.
    """
    named: dict[str, str] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if not name or not value or name in named:
            raise ValueError(f"expected NAME=FILE with a new name, got {argument!r}")
        named[name] = value
    return named


def sha256(path: str | Path) -> str:
    """Return a file's SHA-256 digest in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


Weights = Path | Mapping[str, "Path | Sequence[Path]"]


def digests_of(weights: Weights) -> str | dict[str, str | list[str]]:
    """Return the SHA-256 digest of a file, or those of named files, or those of named lists of files."""
    if isinstance(weights, Path):
        return sha256(weights)
    return {name: sha256(path) if isinstance(path, Path) else [sha256(p) for p in path] for name, path in weights.items()}


def kept_rows(options: argparse.Namespace, measured: Iterable[str]) -> tuple[Figures, dict[str, str]]:
    """Return figures and digests of the networks in the report `options.out` that are not measured again, with `options.keep`."""
    if not options.keep or not options.out.is_file():
        return {}, {}
    known = json.loads(options.out.read_text(encoding="utf-8"))
    names = [name for name in known["networks"] if name not in set(measured)]
    return {name: known["networks"][name] for name in names}, {name: known["weights_sha256"][name] for name in names}


def digests_of_readers(weights: Weights) -> dict[str, str]:
    """Return the digests of the readers that `Predictor` runs with the networks that ship. Names of free readers begin with "free "."""
    files = [weights] if isinstance(weights, Path) else [path for path in weights.values() if isinstance(path, Path)]
    measured, readers = {path.resolve() for path in files}, {}
    for name, before in ((DEFAULT_MODEL, ""), ("free", "free ")):
        if MODELS[name].path.resolve() in measured:
            readers |= {f"{before}reader": default_reader(name), f"{before}eyes": default_eye_reader(name)}
            readers |= {f"{before}portrait": default_portrait_reader(name)}
    return {name: sha256(path) for name, path in readers.items() if path is not None}


def header_of(weights: Weights | None, kept: Mapping[str, str] | None = None) -> Figures:
    """Return the entries of a report that say which networks were measured. `kept`: digests of networks of an earlier run."""
    if weights is None:
        return {}
    readers = digests_of_readers(weights)
    return {"weights_sha256": with_kept(weights, kept)} | ({"readers_sha256": readers} if readers else {})


def write_report(
    path: Path, script: str, figures: Mapping[str, Any], weights: Weights | None = None, kept: Mapping[str, str] | None = None
) -> None:
    """Write a JSON report, whole or not at all.

    The header names the script as a module, the digests of the weights and the CPU seconds of the process. It has no
    date, so two runs that measure the same write the same figures.

    Args:
        path: The JSON file. Its folder is made.
        script: The script's `__file__`.
        figures: What was measured.
        weights: The file or files of the networks that were measured.
        kept: Digests of networks whose figures are those of an earlier run.
    """
    module = Path(script).resolve().relative_to(Path(__file__).resolve().parents[1]).with_suffix("")
    report: Figures = {"script": ".".join(module.parts)} | header_of(weights, kept)
    report["cpu_seconds"] = round(time.process_time(), 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, (json.dumps(report | dict(figures), indent=1) + "\n").encode())


def with_kept(weights: Weights, kept: Mapping[str, str] | None) -> str | dict[str, str | list[str]]:
    """Return the digests of the networks that were measured, and those of the others."""
    digests = digests_of(weights)
    return {**(kept or {}), **digests} if isinstance(digests, dict) else digests


def save_report(
    options: argparse.Namespace,
    script: str,
    figures: Mapping[str, Any],
    weights: Weights | None = None,
    kept: Mapping[str, str] | None = None,
) -> None:
    """Write the report to `options.out`, or with `options.check` compare it with the report that lies there. See `write_report`.

    Raises:
        SystemExit: With `--check`, a figure that is not a time differs. The message lists the differences.
    """
    if not options.check:
        write_report(options.out, script, figures, weights, kept)
        return
    known = json.loads(options.out.read_text(encoding="utf-8"))
    measured = header_of(weights, kept) | dict(figures)
    found = differences(known, json.loads(json.dumps(measured)))
    if found:
        raise SystemExit(f"{options.out}: {len(found)} figures differ\n" + "\n".join(found))
    print(f"{options.out}: the same figures")


def differences(known: Any, measured: Any, where: str = "") -> list[str]:
    """List the places at which two reports differ, apart from the header and from times.

    Args:
        known: The report of before, as JSON values.
        measured: The report of now, as JSON values.
        where: The place of both values in their reports.
    """
    if isinstance(known, dict) and isinstance(measured, dict):
        keys = [k for k in (*known, *(k for k in measured if k not in known)) if where or k not in _HEADER_KEYS]
        return [d for k in keys for d in differences(known.get(k), measured.get(k), f"{where}/{k}")]
    if isinstance(known, list) and isinstance(measured, list) and len(known) == len(measured):
        return [d for i, (a, b) in enumerate(zip(known, measured, strict=True)) for d in differences(a, b, f"{where}/{i}")]
    same = known == measured or (known != known and measured != measured)  # NaN is not equal to itself
    return [] if same or _TIMING.search(where) else [f"{where}: was {known}, is {measured}"]


def share_with_interval(values: NDArray[np.float64]) -> Figures:
    """Return the share of ones with Wilson's 95 % interval."""
    n, z = len(values), 1.96
    p = float(values.mean())
    center, spread = (p + z * z / (2 * n)) / (1 + z * z / n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return {"value": round(p, 4), "interval": [round(max(float(center - spread), 0), 4), round(min(float(center + spread), 1), 4)], "n": n}


def mean_with_interval(values: NDArray[np.float64], seed: int = 0) -> Figures:
    """Return the mean with a 95 % interval of a bootstrap."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (_RESAMPLES, len(values)))].mean(1)
    interval = [round(float(x), 4) for x in np.percentile(means, [2.5, 97.5])]
    return {"value": round(float(values.mean()), 4), "interval": interval, "n": len(values)}


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table with one head line."""
    lines = [list(map(str, head)), ["---"] * len(head), *(list(map(str, row)) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def picture_grid(tiles: Sequence[Image], columns: int, fill: int = 0) -> Image:
    """Lay equally large pictures (H, W, 3) side by side, `columns` in a row; empty places get the gray level `fill`."""
    if not tiles:
        raise ValueError("expected at least one picture for the grid, got none")
    places = [*tiles, *[np.full_like(tiles[0], fill)] * (-len(tiles) % columns)]
    return np.concatenate([np.concatenate(places[i : i + columns], 1) for i in range(0, len(places), columns)])


def pyplot() -> Any:
    """Return `matplotlib.pyplot` that draws into files only.

    Raises:
        ImportError: Matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('drawing a chart needs Matplotlib: pip install ".[dev]"') from error
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt
