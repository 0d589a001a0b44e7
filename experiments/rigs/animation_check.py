"""Check an animated GLB of 20 characters and 300 frames: size and time by tolerance, Khronos' validator, Blender's curves.

    npm install gltf-validator
    python -m experiments.rigs.animation_check --validator . --blender blender

--validator is the folder of the npm package, --blender the command of Blender; without them the check is left out. The
script compares the curves that Blender imports with the take, and writes experiments/results/rigs/animation.json.
"""

from __future__ import annotations

import re
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
from retarget.arkit import ARKIT_NAMES
from retarget.geometry.rotations import quaternion_to_matrix
from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import read_glb
from retarget.performance.files import read_take
from retarget.rig.avatars import avatar_folder

RESULT = RESULTS / "rigs" / "animation.json"
FOLDER = Path(__file__).resolve().parent
PEOPLE, FRAMES, FPS = 20, 300, 30
TOLERANCES = (0.0, 0.02, 0.01, 0.005, 0.002)  # the last one is the default of both commands
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
        "keys_per_channel": round(float(np.mean(keys)), 1),
    }


def weight_errors(rig: Rig, actor: int, weights: NDArray[Any], curves: Mapping[str, NDArray[Any]]) -> list[float]:
    """Return for each target of a character the largest difference between Blender's curve and the take.

    Args:
        rig: The character.
        actor: Its number.
        weights: (F, M) weights of its targets in the take.
        curves: Blender's curves, see blender_curves.py.
    """
    errors = []
    for morph in rig.morphs:
        node = rig.glb.document["nodes"][morph.node].get("name", "")
        for column, name in enumerate(morph.names):
            pattern = re.compile(rf"w\|{actor}\|{re.escape(node)}(\.\d+)?\|{re.escape(name)}$")
            (found,) = [values for key, values in curves.items() if pattern.match(key)]
            errors.append(float(np.abs(found - weights[:, morph.start + column]).max()))
    return errors


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


def compare_with_blender(path: Path, take: Take, rigs: Sequence[Rig], blender: str) -> Figures:
    """Import a GLB into Blender and compare its curves with the take."""
    times, curves = path.with_name("times.npy"), path.with_name("curves.npz")
    np.save(times, np.unique(take.time_s) - take.time_s.min())
    command = [blender, "--background", "--python", str(FOLDER / "blender_curves.py"), "--", str(path), str(times), str(curves)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    version = done.stdout.split("in Blender ")[-1].split()[0]
    with np.load(curves) as arrays:
        return {"blender": version, "blender_off_by": compare(take, rigs, dict(arrays))}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--take", help="a take to use instead of the made one")
    parser.add_argument("--validator", help="folder in which npm installed gltf-validator")
    parser.add_argument("--blender", help="Blender's command")
    args = parser.parse_args()
    take = read_take(args.take) if args.take else make_take()
    rigs = [load_rig(path) for path in sorted(avatar_folder().glob("*.glb"))]
    figures: Figures = {"people": len(take.actors()), "samples": len(take), "rigs": [rig.name for rig in rigs], "files": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.glb"
        for tolerance in TOLERANCES:
            figures["files"].append(write_and_measure(take, rigs, tolerance, path))
            print(figures["files"][-1])
        if args.validator:
            figures["validator"] = validate(path, args.validator)
        if args.blender:
            figures |= compare_with_blender(path, take, rigs, args.blender)
            print(figures["blender_off_by"])
    save_report(args, __file__, figures)


if __name__ == "__main__":
    main()
