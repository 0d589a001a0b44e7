"""A skinned character whose joints, targets and root can be those of any tool: body, face, eyes and lower teeth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.gltf.accessors import add_accessor
from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import Glb, add
from retarget.gltf.node_tree import world_matrices
from tests.helpers.characters import Ball, ball

HEAD_AT, LEFT_EYE_AT, JAW_AT = (0.0, 1.5, 0.0), (0.034, 1.63, 0.085), (0.0, 1.57, 0.02)
PLACES = {"jaw": (0, 1.53, 0.07), "mouth": (0, 1.56, 0.09), "brow": (0, 1.67, 0.08), "cheek": (0, 1.59, 0.08), "nose": (0, 1.6, 0.1)}
TARGETS = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight", "mouthPucker", "browInnerUp")


def make_character(
    targets: Sequence[str] = TARGETS,
    joints: Sequence[str] = ("Hips", "Neck", "Head", "LeftEye", "RightEye"),
    jaw: str = "",
    empty: Sequence[str] = (),
    eyes_at: Sequence[tuple[float, float, float]] = (LEFT_EYE_AT, (-LEFT_EYE_AT[0], *LEFT_EYE_AT[1:])),
    mirror: Sequence[float] = (1, 1, 1),
) -> Glb:
    """Make a character of 1.7 m that faces +z, with its eyes 3.4 cm from the middle.

    Args:
        targets: Names of the morph targets of the face. Where one acts follows from ARKit's name in it.
        joints: Names of hips, neck, head, left and right eye; each is below the one before, both eyes are below the head.
        jaw: Name of a jaw joint below the head that carries the lower teeth; "" for none.
        empty: Targets that move nothing.
        eyes_at: Places of the eye joints. The eyes themselves stay where they are.
        mirror: Scale of the root.
    """
    world = [(0.0, 1.0, 0.0), (0.0, 1.45, 0.0), HEAD_AT, *eyes_at, *([JAW_AT] if jaw else [])]
    above = [None, 0, 1, 2, 2, 2][: len(world)]
    names = [*joints, *([jaw] if jaw else [])]
    skinned = [Node(name, shape=k) for k, name in enumerate(("Face", "EyeL", "EyeR", "Teeth", "Body"))]
    nodes = []
    for k, (name, place) in enumerate(zip(names, world, strict=True)):
        origin = np.zeros(3) if above[k] is None else world[above[k]]
        children = [n for n, parent in enumerate(above) if parent == k]
        nodes.append(Node(name, tuple(np.subtract(place, origin)), children=children))
    root = Node("Armature", children=[0, *range(len(nodes), len(nodes) + len(skinned))])
    balls = [ball(0.1, (0, 1.6, 0), 25, 36), _eye(1), _eye(-1), ball(0.02, (0, 1.54, 0.08)), ball(0.2, (0, 1.1, 0))]
    glb = build_glb([*nodes, *skinned, root], _shapes(balls, targets, empty), [{"name": "skin"}, {"name": "eye"}])
    carriers = [2, 3, 4, 5 if jaw else 2, 0]
    for mesh, (surface, joint) in zip(glb.document["meshes"], zip(balls, carriers, strict=True), strict=True):
        _bind(glb, mesh["primitives"][0]["attributes"], len(surface.points), joint)
    bind = np.stack([np.linalg.inv(matrix).T.ravel() for matrix in world_matrices(glb.document)[: len(names)]])
    skin = add(glb, "skins", {"joints": list(range(len(names))), "inverseBindMatrices": add_accessor(glb, bind)})
    for node in glb.document["nodes"][len(names) : -1]:
        node["skin"] = skin
    if tuple(mirror) != (1, 1, 1):
        glb.document["nodes"][-1]["scale"] = [float(v) for v in mirror]
    glb.document["buffers"][0]["byteLength"] = len(glb.binary)
    return glb


def node_number(glb: Glb, name: str) -> int:
    """Return the number of the node with a name."""
    return [node.get("name") for node in glb.document["nodes"]].index(name)


def coefficients(**values: float) -> NDArray[np.float64]:
    """Return one row of coefficients (1, 52): those that are named, without a side for both sides; 0 for all others."""
    row = np.zeros((1, len(ARKIT_NAMES)))
    for name, value in values.items():
        for own in (name, f"{name}Left", f"{name}Right"):
            if own in ARKIT_NAMES:
                row[0, ARKIT_NAMES.index(own)] = value
    return row


def _eye(side: int) -> Ball:
    x, y, z = LEFT_EYE_AT
    return ball(0.014, (side * x, y, z))


def _shapes(balls: Sequence[Ball], targets: Sequence[str], empty: Sequence[str]) -> list[Shape]:
    face, *others = balls
    deltas = np.stack([_delta(face.points, name) * (name not in empty) for name in targets]) if targets else None
    shapes = [Shape("Face", [Part(face.points, face.triangles, face.normals, deltas=deltas, material=0)], list(targets))]
    for name, surface in zip(("EyeL", "EyeR", "Teeth", "Body"), others, strict=True):
        shapes.append(Shape(name, [Part(surface.points, surface.triangles, surface.normals, material=1)]))
    return shapes


def _delta(points: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """The movement (V, 3) by a target: down for lids and jaw, to its side for what names one, else up."""
    plain = name.lower().replace("_", "")
    side = 1 if "left" in plain or plain.endswith("l") else -1 if "right" in plain or plain.endswith("r") else 0
    if "eye" in plain or "blink" in plain or "close" in plain:
        place, way = (side * LEFT_EYE_AT[0], LEFT_EYE_AT[1], 0.09), (0, -0.01, 0)
    else:
        x, y, z = next((at for word, at in PLACES.items() if word in plain), PLACES["jaw"])
        place, way = (x + side * 0.02, y, z), ((0, -0.02, -0.01) if "jaw" in plain or "aa" in plain else (side * 0.01, 0.005, 0.005))
    return np.asarray((np.linalg.norm(points - np.array(place), axis=1) < 0.035)[:, None] * np.array(way))


def _bind(glb: Glb, attributes: dict[str, int], count: int, joint: int) -> None:
    joints, weights = np.zeros((count, 4), np.uint8), np.zeros((count, 4), np.float32)
    joints[:, 0], weights[:, 0] = joint, 1
    attributes["JOINTS_0"] = add_accessor(glb, joints, 34962)
    attributes["WEIGHTS_0"] = add_accessor(glb, weights, 34962)
