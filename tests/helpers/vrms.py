"""VRM avatars: the face of `characters` with expressions of VRM 0.x or 1.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retarget.gltf.document import Document, Glb
from tests.helpers.characters import make_face

TARGETS = ("Mouth_A", "Mouth_O", "Lid_L", "Lid_R", "Smile", "Angry")


def make_old(groups: Sequence[tuple[str, str, Mapping[str, float], bool]], targets: Sequence[str] = TARGETS) -> Glb:
    """Make a VRM 0.x avatar.

    Args:
        groups: Name, preset, {target: percent} and whether it is binary, for each expression.
        targets: Names of the morph targets.
    """
    glb = make_face(targets)
    mesh = glb.document["nodes"][1]["mesh"]
    rows = [
        {
            "name": name,
            "presetName": preset,
            "isBinary": binary,
            "binds": [{"mesh": mesh, "index": targets.index(t), "weight": w} for t, w in binds.items()],
        }
        for name, preset, binds, binary in groups
    ]
    bones = [{"bone": "head", "node": 0}, {"bone": "leftEye", "node": 2}, {"bone": "rightEye", "node": 3}]
    vrm = {"specVersion": "0.0", "humanoid": {"humanBones": bones}, "blendShapeMaster": {"blendShapeGroups": rows}}
    return _with(glb, "VRM", vrm)


Expressions = Mapping[str, tuple[Mapping[str, float], Document]]


def make_new(preset: Expressions, custom: Expressions | None = None, targets: Sequence[str] = TARGETS) -> Glb:
    """Make a VRM 1.0 avatar.

    Args:
        preset: {name: ({target: weight}, other properties)} of the preset expressions.
        custom: The same of the custom ones.
        targets: Names of the morph targets.
    """
    glb = make_face(targets)

    def rows(items: Expressions) -> Document:
        return {
            name: {
                "morphTargetBinds": [{"node": 1, "index": targets.index(t), "weight": w} for t, w in binds.items()],
                **other,
            }
            for name, (binds, other) in items.items()
        }

    bones = {"head": {"node": 0}, "leftEye": {"node": 2}, "rightEye": {"node": 3}}
    expressions = {"preset": rows(preset), "custom": rows(custom or {})}
    return _with(glb, "VRMC_vrm", {"specVersion": "1.0", "humanoid": {"humanBones": bones}, "expressions": expressions})


def _with(glb: Glb, name: str, content: Document) -> Glb:
    glb.document["extensions"] = {name: content}
    glb.document["extensionsUsed"] = [name]
    return glb
