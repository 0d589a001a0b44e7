"""Give `mfn batch`, `mfn detect` and `retarget inspect` thousands of damaged files: no traceback, no hang, bounded memory.

    python -m experiments.speed.batch.mutated_files --files 10000

Small pictures of nine formats and the characters that ship are damaged: bytes are changed, removed, doubled or cut off, at random
places, with a fixed seed. All pictures go through `mfn batch` and `mfn detect` in one run each. Each rig goes through
`retarget inspect`, all in one process. The script reports what was read, what was refused, the slowest rig and the largest memory, and
ends with code 1 if there is a traceback, a row is missing or an exit code is wrong. It writes
experiments/results/speed/batch/mutated_files.json.
"""

from __future__ import annotations

import contextlib
import csv
import io
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image

from experiments.common import RESULTS, Figures, make_parser, save_report
from experiments.speed.batch.processes import Run, run_command
from mfn.inference.model_zoo import find_model
from retarget.rig.avatars import AVATAR_NAMES, avatar_folder

RESULT = RESULTS / "speed" / "batch" / "mutated_files.json"
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF", ".gif": "GIF"}
FORMATS |= {".jp2": "JPEG2000", ".avif": "AVIF", ".ppm": "PPM"}
SIDE_PX = 40
CHANGES = 6  # most changes of a file


def seeds() -> dict[str, bytes]:
    """Return a small picture in each format: suffix -> content."""
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
    files = {}
    for suffix, form in FORMATS.items():
        memory = io.BytesIO()
        exif = PIL.Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = "2024:05:01 12:00:00"
        options = {"exif": exif.tobytes()} if form in ("JPEG", "PNG", "WEBP", "AVIF") else {}
        PIL.Image.fromarray(pixels).save(memory, form, **options)
        files[suffix] = memory.getvalue()
    return files


def damage(data: bytes, chance: np.random.Generator) -> bytes:
    """Change, remove, double or cut off bytes. The header, where most of the structure is, is hit more often."""
    content = bytearray(data)
    for _ in range(int(chance.integers(1, CHANGES + 1))):
        at = int(len(content) * chance.random() ** 3)
        length = int(chance.integers(1, 9))
        kind = int(chance.integers(5))
        if kind == 0:
            content[at : at + length] = chance.bytes(length)
        elif kind == 1:
            del content[at : at + length]
        elif kind == 2:
            content[at:at] = content[at : at + length]
        elif kind == 3:
            content[at : at + 4] = b"\xff" * 4
        elif chance.random() < 0.2:
            del content[at:]
    return bytes(content)


def mutants(data: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of damaged files."""
    chance = np.random.default_rng(seed)
    for i in range(count):
        suffix = list(data)[i % len(data)]
        yield f"{i:05d}{suffix}", damage(data[suffix], chance)


def inspect_rigs(folder: Path, count: int) -> Figures:
    """Inspect damaged characters, one after another in this process."""
    from retarget.cli import main

    rigs = {f"-{name}.glb": (avatar_folder() / f"{name}.glb").read_bytes() for name in AVATAR_NAMES}
    codes: Counter[str] = Counter()
    slowest, tracebacks = 0.0, 0
    for name, content in mutants(rigs, count, 1):
        (folder / name).write_bytes(content)
        started, errors = time.monotonic(), io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            try:
                code = str(main(["inspect", str(folder / name)]))
            except Exception as error:  # what a user would see as a traceback
                code = f"{type(error).__name__}: {error}"[:120]
                tracebacks += 1
        slowest = max(slowest, time.monotonic() - started)
        codes[code] += 1
        (folder / name).unlink()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"rigs": count, "exit_codes": dict(codes), "tracebacks": tracebacks, "slowest_s": round(slowest, 2), "peak_mb": round(peak_mb)}


def figures_of(run: Run, count: int) -> Figures:
    """Summarize a command that got `count` pictures."""
    return {
        "files": count,
        "exit_code": run.code,
        "tracebacks": run.errors.count("Traceback"),
        "peak_mb": round(max(run.memory_mb, default=0)),
        "seconds": round(run.seconds),
    }


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--files", type=int, default=10000, help="number of damaged pictures, and of damaged rigs")
    parser.add_argument("--weights", default="small", help="network")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        for file, content in mutants(seeds(), args.files, 0):
            (folder / "photos" / file).write_bytes(content)
        options = ["--weights", args.weights, "--quiet"]
        batch = run_command(["mfn", "batch", str(folder / "photos"), "--csv", str(folder / "faces.csv"), "--workers", "2", *options])
        figures: Figures = {"mfn batch": figures_of(batch, args.files)}
        with (folder / "faces.pictures.csv").open() as read, (folder / "faces.failures.csv").open() as refused:
            figures["mfn batch"] |= {"read": len(list(csv.DictReader(read))), "refused": len(list(csv.DictReader(refused)))}
        print(figures, flush=True)
        detect = run_command(["mfn", "detect", str(folder / "photos"), "--no-draw", "--out", str(folder / "out"), *options])
        figures["mfn detect"] = figures_of(detect, args.files)
        figures["mfn detect"] |= {"read": len(list((folder / "out").rglob("*.json"))), "refused": detect.errors.count("mfn: ")}
        print(figures["mfn detect"], flush=True)
        figures["retarget inspect"] = inspect_rigs(folder, args.files)
        print(figures["retarget inspect"], flush=True)
    save_report(args, __file__, figures, {args.weights: find_model(args.weights).path})
    lost = any(figures[k]["read"] + figures[k]["refused"] != args.files for k in ("mfn batch", "mfn detect"))
    if lost or any(row["tracebacks"] for row in figures.values()) or set(figures["retarget inspect"]["exit_codes"]) - {"0", "1"}:
        raise SystemExit("a file was lost, or a command failed")


if __name__ == "__main__":
    main()
