"""Check written scenes: sizes and keyframes by tolerance, Khronos' validator on every kind of file, and Blender.

    npm install gltf-validator
    python -m experiments.rigs.animation_check --validator . --blender blender --before old.glb

--validator is the folder of the npm package; --blender is the command of Blender, or a Python with `bpy`; without them the
check is left out. --before is a scene that an earlier version wrote from the same take; Blender's counts of it are
reported beside ours. The script also compares the curves that our add-on makes in Blender with the take, and writes
experiments/results/rigs/animation.json.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, save_report
from retarget import Rig, Take, load_rig, write_scene
from retarget.animation.pose import place_rig
from retarget.animation.scene import SceneOptions, write_scene_files
from retarget.animation.vrma import write_vrma
from retarget.arkit import ARKIT_NAMES
from retarget.geometry.rotations import quaternion_to_matrix
from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import read_glb
from retarget.performance.files import read_take
from retarget.rig.avatars import avatar_folder

RESULT = RESULTS / "rigs" / "animation.json"
FOLDER = Path(__file__).resolve().parent
PEOPLE, FRAMES, FPS = 55, 216, 30
TOLERANCES = (0.0, 0.002)  # the last one is the default of both commands
NOISE_SD = 0.0005  # of a tracker, in each frame


def motions_of(name: str) -> tuple[int, float]:
    """Return how often a shape moves in the take, and how many seconds one motion lasts."""
    if "Blink" in name:
        return 4, 0.12
    return (25, 0.12) if name[:3] in ("jaw", "mou") else (3, 0.6)


def make_take(people: int = PEOPLE, frames: int = FRAMES, seed: int = 0) -> Take:
    """Make a take of people who talk: blinks, visemes of 0.1 to 0.3 s, brows, turning heads, and a tracker's noise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(frames) / FPS
    weights = np.zeros((people, frames, len(ARKIT_NAMES)))
    for person in range(people):
        for column, name in enumerate(ARKIT_NAMES):
            count, length_s = motions_of(name)
            for middle in rng.uniform(0, frames / FPS, count):
                bump = np.exp(-(((time_s - middle) / (length_s * rng.uniform(0.5, 1.5))) ** 2))
                weights[person, :, column] += bump * rng.uniform(0, 0.9)
    noise = np.cumsum(rng.normal(0, NOISE_SD, weights.shape), axis=1)
    angles = 0.3 * np.sin(time_s[None, :, None] * rng.uniform(0.5, 2, (people, 1, 3)) + rng.uniform(0, 6, (people, 1, 3)))
    quaternion = np.concatenate([angles / 2, np.ones((people, frames, 1))], axis=2)
    number = np.arange(people)
    place = np.stack(np.broadcast_arrays((number % 5 - 2) * 0.45, 0.3, -2 - number // 5 * 0.6), 1)
    place = place[:, None] + 0.03 * np.sin(time_s[None, :, None] * rng.uniform(0.5, 1.5, (people, 1, 3)))
    return Take(
        np.tile(time_s, people),
        np.repeat(number, frames),
        (weights + noise).clip(0, 1).reshape(-1, len(ARKIT_NAMES)),
        quaternion.reshape(-1, 4),
        place.reshape(-1, 3),
    )


def write_and_measure(take: Take, rigs: Sequence[Rig], tolerance: float, path: Path) -> Figures:
    """Write one file and return its size in MB, the CPU seconds and the mean number of keyframes of a channel."""
    start = time.process_time()
    write_scene(take, rigs, path, tolerance=tolerance)
    seconds = time.process_time() - start
    glb = read_glb(path)
    samplers = glb.document["animations"][0]["samplers"]
    parts = [glb.document["accessors"][sampler[key]] for sampler in samplers for key in ("input", "output")]
    views = {part["bufferView"]: glb.document["bufferViews"][part["bufferView"]]["byteLength"] for part in parts}
    keys = [len(read_accessor(glb, sampler["input"])) for sampler in samplers]
    return {
        "tolerance": tolerance,
        "file_mb": round(path.stat().st_size / 1e6, 2),
        "animation_mb": round(sum(views.values()) / 1e6, 2),
        "write_cpu_s": round(seconds, 2),
        "channels": len(glb.document["animations"][0]["channels"]),
        "keys_per_channel": round(float(np.mean(keys)), 1),
    }


def weight_errors(rig: Rig, actor: int, weights: NDArray[Any], curves: Mapping[str, NDArray[Any]]) -> list[float]:
    """Return for each shape of a character the largest difference between Blender's curve and the take.

    Args:
        rig: The character, which is one object in Blender.
        actor: Its number.
        weights: (F, M) weights of its targets in the take.
        curves: Blender's curves, see blender_curves.py.
    """
    names = [name for morph in rig.morphs for name in morph.names]
    return [float(np.abs(curves[f"w|{actor}|{name}"] - weights[:, column]).max()) for column, name in enumerate(names)]


def root_of_curve(curve: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Convert Blender's places and quaternions w x y z (F, 7) to points (F, 3) and rotations (F, 3, 3) in glTF's axes.

    Blender's z axis points up, so its (x, -z, y) is (x, y, z) here.
    """
    point = np.stack([curve[:, 0], curve[:, 2], -curve[:, 1]], 1)
    rotation = quaternion_to_matrix(np.stack([curve[:, 4], curve[:, 6], -curve[:, 5], curve[:, 3]], 1))
    return point, rotation


def compare(take: Take, rigs: Sequence[Rig], curves: Mapping[str, NDArray[Any]]) -> Figures:
    """Return the largest differences between Blender's curves and the take, and the number of weight curves."""
    weights: list[float] = []
    place_m = turn_rad = 0.0
    for actor in take.actors():
        own, rig = take[take.actor == actor], rigs[int(actor) % len(rigs)]
        weights += weight_errors(rig, int(actor), rig.weights(own.coefficients), curves)
        root = place_rig(rig, own.rotation, own.translation).root
        point, rotation = root_of_curve(curves[f"p|{actor}"])
        trace = np.einsum("nij,nij->n", rotation, root[:, :3, :3] / rig.scale)
        place_m = max(place_m, float(np.abs(point - root[:, :3, 3]).max()))
        turn_rad = max(turn_rad, float(np.arccos(np.clip((trace - 1) / 2, -1, 1)).max()))
    figures = {"weights": max(weights), "place_m": place_m, "turn_rad": turn_rad, "weight_curves": float(len(weights))}
    return {name: round(value, 6) for name, value in figures.items()}


def validate(path: Path, folder: str) -> str:
    """Return the first line of Khronos' validator for a GLB. folder: where npm installed gltf-validator."""
    command = ["node", str(FOLDER / "validate_glb.js"), str(path)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    print(done.stdout)
    return done.stdout.splitlines()[0].split(": ", 1)[1]


def run_blender(path: Path, mode: str, blender: str) -> tuple[Figures, dict[str, NDArray[Any]]]:
    """Import a scene into Blender. Returns the counts and the curves, see blender_curves.py."""
    out = path.with_suffix(".npz")
    start = [blender] if Path(blender).name.startswith("python") else [blender, "--background", "--python"]
    command = [*start, str(FOLDER / "blender_curves.py"), "--", str(path), mode, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    with np.load(out) as arrays:
        curves = dict(arrays)
    names = ("objects", "meshes", "actions", "curves", "keyframes", "import_cpu_ms")
    figures: Figures = dict(zip(names, curves.pop("counts").tolist(), strict=True))
    return {"blender": done.stdout.split("in Blender ")[-1].split()[0], **figures}, curves


def write_kinds(take: Take, rigs: Sequence[Rig], folder: Path) -> list[Path]:
    """Write every kind of file: each character, a crowd of a photo, a clip, and what the options make of it."""
    few = take[take.actor < 3]
    files = []
    for rig in rigs:
        files += write_scene_files(few[few.actor == 0], [rig], folder / f"{rig.name}.glb", SceneOptions(tolerance=0.002))
    kinds = {
        "photo": SceneOptions(),
        "clip": SceneOptions(tolerance=0.002),
        "separate-meshes": SceneOptions(tolerance=0.002, separate_meshes=True),
        "animation-only": SceneOptions(tolerance=0.002, animation_only=True),
        "in-place": SceneOptions(tolerance=0.002, in_place=True),
    }
    for name, options in kinds.items():
        part = few[few.time_s == few.time_s.min()] if name == "photo" else few
        files += write_scene_files(part, rigs, folder / f"{name}.glb", options)
    return [*files, *write_vrma(few, folder / "clip.vrma", tolerance=0.002)]


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--take", help="a take to use instead of the made one")
    parser.add_argument("--people", type=int, default=PEOPLE, help="people of the made take")
    parser.add_argument("--frames", type=int, default=FRAMES, help="frames of the made take")
    parser.add_argument("--tolerances", type=float, nargs="*", default=TOLERANCES, help="tolerances to write; the last is kept")
    parser.add_argument("--validator", help="folder in which npm installed gltf-validator")
    parser.add_argument("--blender", help="Blender's command, or a Python with bpy")
    parser.add_argument("--before", type=Path, help="scene of an earlier version")
    args = parser.parse_args()
    take = read_take(args.take) if args.take else make_take(args.people, args.frames)
    rigs = [load_rig(path) for path in sorted(avatar_folder().glob("*.glb"))]
    figures: Figures = {"people": len(take.actors()), "samples": len(take), "rigs": [rig.name for rig in rigs], "files": []}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "scene.glb"
        for tolerance in args.tolerances:
            figures["files"].append(write_and_measure(take, rigs, tolerance, path))
            print(figures["files"][-1])
        if args.validator:
            kinds = Path(name) / "kinds"
            kinds.mkdir()
            figures["validator"] = {file.name: validate(file, args.validator) for file in write_kinds(take, rigs, kinds)}
        if args.blender:
            scenes = {"before": (args.before, "importer")} if args.before else {}
            scenes |= {"importer": (path, "importer"), "addon": (path, "addon")}
            for kind, (scene, mode) in scenes.items():
                figures[f"blender_{kind}"], curves = run_blender(scene, mode, args.blender)
                print(kind, figures[f"blender_{kind}"])
            figures["blender_off_by"] = compare(take, rigs, curves)
            print(figures["blender_off_by"])
    save_report(args, __file__, figures)


if __name__ == "__main__":
    main()
