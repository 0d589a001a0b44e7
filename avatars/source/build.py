"""Build our characters from the head model: `python -m avatars.source.build` writes avatars/robot.glb and the others,
each with NAME.likeness.npz, which lets it look like a person.

The same head model gives the same files on the same machine. Build again after `mfn/weights/head_model.npz` has changed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from avatars.source.characters.lion import build_lion
from avatars.source.characters.monster import build_monster
from avatars.source.characters.person import build_person
from avatars.source.characters.robot import build_robot
from avatars.source.likeness import likeness_arrays
from avatars.source.parts.head import Character, deltas_by_name
from avatars.source.parts.primitives import Mesh, mesh_normals
from mfn.structures.head_model import HeadModel
from retarget.arkit import ARKIT_NAMES
from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import Document, Glb, write_glb
from retarget.io.files import atomic_write

CHARACTERS = {"robot": build_robot, "lion": build_lion, "person": build_person, "monster": build_monster}
SCALE = 0.8
"""The characters are designed a quarter larger than people; this factor makes them as large as people."""
_SMALLEST_DELTA_M = 2.2e-4


def _material(name: str, roughness: float) -> Document:
    surface = {"baseColorFactor": [1.0, 1.0, 1.0, 1.0], "metallicFactor": 0.0, "roughnessFactor": roughness}
    return {"name": name, "pbrMetallicRoughness": surface}


def _part(mesh: Mesh, material: int, names: tuple[str, ...]) -> Part:
    deltas = deltas_by_name(mesh, names) * SCALE
    return Part(mesh.vertices * SCALE, mesh.triangles, mesh_normals(mesh), colors=mesh.colors, deltas=deltas, material=material)


def _own_names(mesh: Mesh) -> tuple[str, ...]:
    return tuple(name for name in ARKIT_NAMES if name in mesh.deltas)


def to_glb(character: Character) -> Glb:
    """Convert a character to a glTF scene: a node "head" that holds the face with all 52 shapes, the eyes, and the shell."""
    roughness = {"skin": 0.55, "trim": 0.45, "mouth": 0.5, "eye": 0.08, "shell": character.shell_roughness}
    materials = [_material(name, value) for name, value in roughness.items()]
    face = [_part(mesh, k, ARKIT_NAMES) for k, mesh in enumerate((character.skin, character.trim, character.mouth))]
    shapes = [Shape("face", face, ARKIT_NAMES)]
    for name, mesh, material in (("leftEye", character.left_eye, 3), ("rightEye", character.right_eye, 3), ("shell", character.shell, 4)):
        own = _own_names(mesh)
        shapes.append(Shape(name, [_part(mesh, material, own)], own))
    x, y, z = (float(v) for v in character.eye * SCALE)
    nodes = [
        Node("head", children=(1, 2, 3, 4) if character.third_eye is None else (1, 2, 3, 4, 5)),
        Node("face", shape=0),
        Node("leftEye", (x, y, z), shape=1),
        Node("rightEye", (-x, y, z), shape=2),
        Node("shell", shape=3),
    ]
    if character.third_eye is not None:
        ball, place = character.third_eye
        own = _own_names(ball)
        shapes.append(Shape("thirdEye", [_part(ball, 3, own)], own))
        x, y, z = (float(v) for v in place * SCALE)
        nodes.append(Node("thirdEye", (x, y, z), shape=4))
    return build_glb(nodes, shapes, materials, copyright="CC0 1.0", smallest_delta_m=_SMALLEST_DELTA_M)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1], help="folder to write to (default: avatars)")
    options = parser.parse_args()
    model = HeadModel.load()
    for name, build in CHARACTERS.items():
        path, sidecar = options.out / f"{name}.glb", options.out / f"{name}.likeness.npz"
        character = build(model)
        write_glb(to_glb(character), path)
        arrays = likeness_arrays(name, character, model, SCALE)
        atomic_write(sidecar, lambda file, arrays=arrays: np.savez_compressed(file, **arrays))
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, likeness {sidecar.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
