"""VRM avatars made in code: the face of `characters` with expressions of VRM 0.x or 1.0."""

from __future__ import annotations

from retarget.gltf.document import Glb
from tests.helpers.characters import make_face

TARGETS = ("Mouth_A", "Mouth_O", "Lid_L", "Lid_R", "Smile", "Angry")


def make_old(groups, targets=TARGETS) -> Glb:
    """VRM 0.x. groups: (name, preset, {target: percent}, is binary)."""
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


def make_new(preset, custom=None, targets=TARGETS) -> Glb:
    """VRM 1.0. preset, custom: {name: ({target: weight}, other properties)}."""
    glb = make_face(targets)

    def rows(items):
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


def _with(glb: Glb, name: str, content: dict) -> Glb:
    glb.document["extensions"] = {name: content}
    glb.document["extensionsUsed"] = [name]
    return glb
