"""An animated GLB of 20 characters x 300 frames: size and write time by tolerance; Khronos' validator; Blender's curves
against the take. Writes experiments/results/rigs/animation.json.

    npm install gltf-validator && python -m experiments.rigs.animation_check --validator . --blender blender --out FILE
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from retarget import Rig, Take, load_rig, write_scene
from retarget.animation.pose import place_rig
from retarget.arkit import ARKIT_NAMES
from retarget.geometry.rotations import quaternion_to_matrix
from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import read_glb
from retarget.performance.files import read_take
from retarget.rig.avatars import avatar_folder

PEOPLE, FRAMES, FPS = 20, 300, 30
HERE = Path(__file__).parent


def performance(seed: int = 0) -> Take:
    """People who talk: blinks, visemes of 0.1 to 0.3 s, brows, turning heads, and what a tracker's noise leaves."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(FRAMES) / FPS
    weights = np.zeros((PEOPLE, FRAMES, len(ARKIT_NAMES)))
    for person in range(PEOPLE):
        for column, name in enumerate(ARKIT_NAMES):
            many, length = (4, 0.12) if "Blink" in name else (25, 0.12) if name[:3] in ("jaw", "mou") else (3, 0.6)
            for middle in rng.uniform(0, FRAMES / FPS, many):
                bump = np.exp(-(((time_s - middle) / (length * rng.uniform(0.5, 1.5))) ** 2))
                weights[person, :, column] += bump * rng.uniform(0, 0.9)
    noise = np.cumsum(rng.normal(0, 0.0005, weights.shape), axis=1)
    angles = 0.3 * np.sin(time_s[None, :, None] * rng.uniform(0.5, 2, (PEOPLE, 1, 3)) + rng.uniform(0, 6, (PEOPLE, 1, 3)))
    quaternion = np.concatenate([angles / 2, np.ones((PEOPLE, FRAMES, 1))], axis=2)
    where = np.stack(np.broadcast_arrays((np.arange(PEOPLE) % 5 - 2) * 0.45, 0.3, -2 - np.arange(PEOPLE) // 5 * 0.6), 1)
    where = where[:, None] + 0.03 * np.sin(time_s[None, :, None] * rng.uniform(0.5, 1.5, (PEOPLE, 1, 3)))
    return Take(
        np.tile(time_s, PEOPLE),
        np.repeat(np.arange(PEOPLE), FRAMES),
        (weights + noise).clip(0, 1).reshape(-1, len(ARKIT_NAMES)),
        quaternion.reshape(-1, 4),
        where.reshape(-1, 3),
    )


def written(take: Take, rigs: list[Rig], tolerance: float, path: Path) -> dict[str, float]:
    """Size, time, keys of one file."""
    start = time.process_time()
    write_scene(take, rigs, path, tolerance=tolerance)
    seconds = time.process_time() - start
    glb = read_glb(path)
    samplers = glb.document["animations"][0]["samplers"]
    parts = [glb.document["accessors"][s[k]] for s in samplers for k in ("input", "output")]
    views = {part["bufferView"]: glb.document["bufferViews"][part["bufferView"]]["byteLength"] for part in parts}
    keys = [len(read_accessor(glb, s["input"])) for s in samplers]
    return {
        "tolerance": tolerance,
        "file_mb": round(path.stat().st_size / 1e6, 2),
        "animation_mb": round(sum(views.values()) / 1e6, 2),
        "write_cpu_s": round(seconds, 2),
        "keys_per_channel": round(float(np.mean(keys)), 1),
    }


def differences(take: Take, rigs: list[Rig], curves: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest distance between Blender's curves and the take: weights, metres, radians; and how many curves."""
    worst = {"weights": 0.0, "place_m": 0.0, "turn_rad": 0.0, "weight_curves": 0.0}
    for actor in take.actors():
        mine, rig = take[take.actor == actor], rigs[int(actor) % len(rigs)]
        weights = rig.weights(mine.coefficients)
        for morph in rig.morphs:
            node = rig.glb.document["nodes"][morph.node].get("name", "")
            for column, name in enumerate(morph.names):
                pattern = re.compile(rf"w\|{actor}\|{re.escape(node)}(\.\d+)?\|{re.escape(name)}$")
                (found,) = [values for key, values in curves.items() if pattern.match(key)]
                off = np.abs(found - weights[:, morph.start + column]).max()
                worst["weights"], worst["weight_curves"] = max(worst["weights"], float(off)), worst["weight_curves"] + 1
        root = place_rig(rig, mine.rotation, mine.translation)[0]
        seen = curves[f"p|{actor}"]  # Blender: z up, so (x, y, z) here is (x, -z, y) there; quaternions w first
        point = np.stack([seen[:, 0], seen[:, 2], -seen[:, 1]], 1)
        turn = quaternion_to_matrix(np.stack([seen[:, 4], seen[:, 6], -seen[:, 5], seen[:, 3]], 1))
        between = np.einsum("nij,nij->n", turn, root[:, :3, :3] / rig.scale)
        worst["place_m"] = max(worst["place_m"], float(np.abs(point - root[:, :3, 3]).max()))
        worst["turn_rad"] = max(worst["turn_rad"], float(np.arccos(np.clip((between - 1) / 2, -1, 1)).max()))
    return {name: round(value, 6) for name, value in worst.items()}


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--take", help="a take to use instead of the made-up one")
    parser.add_argument("--validator", help="folder in which gltf-validator was installed by npm")
    parser.add_argument("--blender", help="Blender's command")
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "rigs" / "animation.json")
    options = parser.parse_args()
    take = read_take(options.take) if options.take else performance()
    rigs = [load_rig(path) for path in sorted(avatar_folder().glob("*.glb"))]
    result = {"people": len(take.actors()), "samples": len(take), "rigs": [rig.name for rig in rigs], "files": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.glb"
        for tolerance in (0.0, 0.02, 0.01, 0.005, 0.002):  # the last is the commands' default
            result["files"].append(written(take, rigs, tolerance, path))
            print(result["files"][-1])
        if options.validator:
            command = ["node", str(HERE.resolve() / "validate_glb.js"), str(path)]
            done = subprocess.run(command, cwd=options.validator, capture_output=True, text=True, check=False)
            result["validator"] = done.stdout.splitlines()[0].split(": ", 1)[1]
            print(done.stdout)
        if options.blender:
            np.save(Path(folder) / "times.npy", np.unique(take.time_s) - take.time_s.min())
            script = [options.blender, "--background", "--python", str(HERE / "blender_curves.py"), "--"]
            files = [str(path), str(Path(folder) / "times.npy"), str(Path(folder) / "curves.npz")]
            done = subprocess.run([*script, *files], capture_output=True, text=True, check=True)
            result["blender"] = done.stdout.split("in Blender ")[-1].split()[0]
            with np.load(files[2]) as curves:
                result["blender_off_by"] = differences(take, rigs, dict(curves))
            print(result["blender_off_by"])
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
