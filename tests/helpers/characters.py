"""Characters made in code: a face with three morph targets and eyes on joints, and a skinned body with a head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.gltf.accessors import add_accessor, read_accessor
from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import Document, Glb, add
from retarget.performance.take import Take
from tests.helpers.meshes import sphere

BRUNETTE = Path(__file__).parents[2].parent / "shared" / "avatars" / "brunette-t.glb"


class Ball(NamedTuple):
    """Vertices (V, 3), triangles (T, 3) counter-clockwise as seen from outside, and unit normals (V, 3)."""

    points: NDArray[np.float64]
    triangles: NDArray[np.int64]
    normals: NDArray[np.float64]


def ball(
    radius: float = 1.0, center: tuple[float, float, float] = (0.0, 0.0, 0.0), rings: int = 9, sides: int = 12
) -> Ball:
    """Return a sphere; rings and sides as in `sphere`."""
    normals, triangles = sphere(rings, sides)
    return Ball(normals * radius + center, triangles, normals)


def make_face(
    names: Sequence[str] = ("jawOpen", "eyeBlink_L", "mouth_smile_right"),
    size: float = 1.0,
    extra: Sequence[Node] = (),
) -> Glb:
    """Make a head with eyes on joints.

    Args:
        names: Names of the morph targets. Each moves its own part of the surface.
        size: 1 for a head of 0.2 m.
        extra: Further nodes.
    """
    points, triangles, normals = ball(0.1, (0, 0, -0.05))
    deltas = np.zeros((len(names), len(points), 3))
    for k in range(len(names)):
        start = 10 * k % (len(points) - 15)
        deltas[k, start : start + 15, k % 3] = 0.02
    skin = Part(points * size, triangles, normals, None, np.full((len(points), 3), 0.5), deltas * size, 0)
    eye_points, eye_triangles, eye_normals = ball(0.012 * size)
    eye = Shape("eye", [Part(eye_points, eye_triangles, eye_normals, material=1)])
    where = 0.03 * size, 0.0, 0.04 * size
    nodes = [
        Node("head", children=[1, 2, 3]),
        Node("skin", shape=0),
        Node("leftEye", where, shape=1),
        Node("rightEye", (-where[0], *where[1:]), shape=1),
        *extra,
    ]
    materials: list[Document] = [{"name": "skin"}, {"name": "eye", "pbrMetallicRoughness": {"baseColorFactor": [0.1, 0.1, 0.1, 1]}}]
    return build_glb(nodes, [Shape("face", [skin], names), eye], materials)


def make_body() -> Glb:
    """Make a skinned person of 1.7 m with hips, neck, head, eyes at 1.6 m and stretched arms. The head has morph targets."""
    low, triangles, normals = ball(0.3, (0, 1.0, 0))
    high, _, _ = ball(0.1, (0, 1.6, 0))
    count = len(low)
    deltas = np.zeros((2, 2 * count, 3))
    deltas[0, count:, 1], deltas[1, count : count + 20, 2] = -0.01, 0.01
    part = Part(
        np.concatenate([low, high]), np.concatenate([triangles, triangles + count]), np.concatenate([normals] * 2)
    )
    part = Part(part.positions, part.triangles, part.normals, deltas=deltas)
    nodes = [
        Node("Hips", (0, 1.0, 0), children=[1, 5, 7]),
        Node("Neck", (0, 0.4, 0), (0.1, 0, 0, np.sqrt(0.99)), children=[2]),
        Node("mixamorig:Head", (0, 0.1, 0), children=[3, 4]),
        Node("LeftEye", (0.03, 0.1, 0.08)),
        Node("RightEye", (-0.03, 0.1, 0.08)),
        Node("LeftArm", (0.2, 0.3, 0), children=[6]),
        Node("LeftForeArm", (0.3, 0, 0)),
        Node("RightArm", (-0.2, 0.3, 0), children=[8]),
        Node("RightForeArm", (-0.3, 0, 0)),
        Node("Person", shape=0),
    ]
    glb = build_glb(nodes, [Shape("Person", [part], ["jawOpen", "mouthPucker"])])
    joints = np.zeros((2 * count, 4), np.uint8)
    joints[count:, 0] = 2
    weights = np.zeros((2 * count, 4), np.float32)
    weights[:, 0] = 1
    attributes = glb.document["meshes"][0]["primitives"][0]["attributes"]
    attributes["JOINTS_0"] = add_accessor(glb, joints, 34962)
    attributes["WEIGHTS_0"] = add_accessor(glb, weights, 34962)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[0.98, -2 * 0.1 * np.sqrt(0.99)], [2 * 0.1 * np.sqrt(0.99), 0.98]]
    world = [np.eye(4) for _ in range(9)]
    for number, height in ((0, 1.0), (1, 1.4)):
        world[number][1, 3] = height
    world[1] = world[1] @ tilt
    world[2] = world[1].copy()
    world[2][:3, 3] += tilt[:3, :3] @ (0, 0.1, 0)
    bind = np.stack([np.linalg.inv(matrix).T.ravel() for matrix in world])  # column-major
    skin = {"joints": list(range(9)), "inverseBindMatrices": add_accessor(glb, bind), "skeleton": 0}
    glb.document["nodes"][9]["skin"] = add(glb, "skins", skin)
    glb.document["buffers"][0]["byteLength"] = len(glb.binary)
    return glb


def quantized(glb: Glb, kind: type[np.integer], normalized: bool) -> Glb:
    """Positions, normals and moves as integers of the mesh's own size; the node's scale makes up for it."""
    max_value = np.iinfo(kind).max
    for mesh in glb.document["meshes"]:
        for primitive in mesh["primitives"]:
            points = read_accessor(glb, primitive["attributes"]["POSITION"])
            moves = [read_accessor(glb, target["POSITION"]) for target in primitive.get("targets", [])]
            size = float(max(np.abs(part).max() for part in [points, *moves]))

            def small(values, size=size):
                return add_accessor(glb, np.round(values / size * max_value).astype(kind), 34962, normalized)

            primitive["attributes"]["POSITION"] = small(points)
            normal = read_accessor(glb, primitive["attributes"]["NORMAL"])
            primitive["attributes"]["NORMAL"] = add_accessor(glb, np.round(normal * 127).astype(np.int8), 34962, True)
            for target, values in zip(primitive.get("targets", []), moves, strict=True):
                target["POSITION"] = small(values)
            for node in glb.document["nodes"]:
                if node.get("mesh") == glb.document["meshes"].index(mesh):
                    node["scale"] = [size if normalized else size / max_value] * 3
    glb.document["extensionsUsed"] = glb.document["extensionsRequired"] = ["KHR_mesh_quantization"]
    return glb


def make_take(actors: int = 3, frames: int = 1, seed: int = 0, spread: float = 0.4) -> Take:
    """Make random performances of people side by side, 1.5 m from the camera and `spread` meters apart."""
    rng = np.random.default_rng(seed)
    count = actors * frames
    quaternion = rng.normal((0, 0, 0, 1.5), 0.15, (count, 4))
    where = np.stack(
        [np.tile((np.arange(actors) - (actors - 1) / 2) * spread, frames), np.zeros(count), np.full(count, -1.5)], 1
    )
    return Take(
        np.repeat(10 + np.arange(frames) / 29.97, actors),
        np.tile(np.arange(actors) * 2 + 1, frames),
        rng.uniform(0, 1, (count, len(ARKIT_NAMES))).astype(np.float32),
        quaternion.astype(np.float32),
        where.astype(np.float32),
    )
