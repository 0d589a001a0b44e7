"""Give `mfn batch`, `mfn detect`, `retarget inspect` and `retarget stream` thousands of damaged files: no traceback, no hang.

    python -m experiments.speed.batch.mutated_files --files 10000

Small pictures of nine formats and the characters that ship are damaged: bytes are changed, removed, doubled or cut off, at random
places, with a fixed seed. All pictures go through `mfn batch` and `mfn detect` in one run each. Each rig goes through
`retarget inspect`, `retarget inspect --write-map` and `retarget stream --names`, all in one process. The script reports what was
read, what was refused, the slowest rig and the largest memory, and ends with code 1 if there is a traceback, a row is missing or an
exit code is wrong. It writes experiments/results/speed/batch/mutated_files.json.
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
RIG_COMMANDS = {
    "retarget inspect": ["inspect", "{rig}"],
    "retarget inspect --write-map": ["inspect", "{rig}", "--write-map", "{map}"],
    "retarget stream --names": ["stream", "{take}", "--names", "{rig}", "--quiet"],
}


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


def read_rigs(folder: Path, count: int) -> Figures:
    """Give damaged characters, one after another in this process, to every command that reads one. Returns figures by command."""
    from retarget.performance.take import Take

    rigs = {f"-{name}.glb": (avatar_folder() / f"{name}.glb").read_bytes() for name in AVATAR_NAMES}
    take, rig_map = str(folder / "nobody.npz"), str(folder / "map.json")
    Take.empty().save(take)
    codes: dict[str, Counter[str]] = {command: Counter() for command in RIG_COMMANDS}
    slowest_s = dict.fromkeys(RIG_COMMANDS, 0.0)
    for name, content in mutants(rigs, count, 1):
        (folder / name).write_bytes(content)
        for command, arguments in RIG_COMMANDS.items():
            started = time.monotonic()
            codes[command][run_quietly([part.format(rig=folder / name, take=take, map=rig_map) for part in arguments])] += 1
            slowest_s[command] = max(slowest_s[command], time.monotonic() - started)
        (folder / name).unlink()
    peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
    return {
        command: {
            "rigs": count,
            "exit_codes": dict(counts),
            "tracebacks": sum(number for code, number in counts.items() if not code.isdecimal()),
            "slowest_s": round(slowest_s[command], 2),
            "peak_mb": peak_mb,
        }
        for command, counts in codes.items()
    }


def run_quietly(arguments: list[str]) -> str:
    """Run `retarget` in this process. Returns its exit code, or the error that a user would see as a traceback."""
    from retarget.cli import main

    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            return str(main(arguments))
        except Exception as error:
            return f"{type(error).__name__}: {error}"[:120]


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
        rigs = read_rigs(folder, args.files)
        print(rigs, flush=True)
    figures |= rigs
    save_report(args, __file__, figures, {args.weights: find_model(args.weights).path})
    lost = any(figures[k]["read"] + figures[k]["refused"] != args.files for k in ("mfn batch", "mfn detect"))
    if lost or any(row["tracebacks"] for row in figures.values()) or any(set(row["exit_codes"]) - {"0", "1"} for row in rigs.values()):
        raise SystemExit("a file was lost, or a command failed")


if __name__ == "__main__":
    main()
