"""What nothing names is dropped; what remains is named as before."""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from retarget.animation.scene import SceneOptions, build_scene
from retarget.gltf.accessors import add_accessor, read_accessor
from retarget.gltf.document import add, add_view, read_glb, write_glb
from retarget.gltf.references import drop_unused, map_references
from retarget.rig.load import load_rig
from tests.helpers.characters import make_body, make_face, make_take


def with_clutter(glb):
    """The file with things in front of and behind those that it uses."""
    add(glb, "materials", {"name": "nobody's"})
    add_view(glb, b"12345678")
    add_accessor(glb, np.zeros((3, 3), np.float32))
    add(glb, "meshes", {"primitives": [{"attributes": {"POSITION": 0}}]})
    add(glb, "nodes", {"name": "lost", "mesh": len(glb.document["meshes"]) - 1})
    return glb


def content(glb):
    """Everything that the scene shows, by value."""
    document = deepcopy(glb.document)
    kinds = {"accessors", "materials", "meshes", "nodes", "skins"}
    found = []

    def visit(kind, number):
        if kind == "accessors":
            found.append(read_accessor(glb, number).tobytes())
        elif kind in kinds:
            found.append(str(document[kind][number].get("name")))
        return number

    map_references(document, visit)
    return sorted(map(str, found))


def test_clutter_goes_and_the_rest_stays(tmp_path):
    for make in (make_face, make_body):
        clean, cluttered = make(), with_clutter(make())
        small = drop_unused(cluttered)
        assert content(small) == content(clean) and len(small.binary) == len(clean.binary)
        write_glb(small, tmp_path / "a.glb")
        read_glb(tmp_path / "a.glb")
        assert cluttered.document["nodes"][-1]["name"] == "lost"


def test_animations_of_dropped_nodes_go(face_path):
    glb = build_scene(make_take(2, 4), [load_rig(face_path)], SceneOptions(light_lux=0))
    document = glb.document
    before = len(document["animations"][0]["channels"])
    lost = document["scenes"][0]["nodes"].pop(0)
    small = drop_unused(glb)
    names = [node.get("name") for node in small.document["nodes"]]
    assert document["nodes"][lost]["name"] not in names
    (animation,) = small.document["animations"]
    assert len(animation["channels"]) == before // 2 == len(animation["samplers"])
    assert {channel["target"]["node"] for channel in animation["channels"]} <= set(range(len(names)))
