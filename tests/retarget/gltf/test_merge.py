"""Files are joined, equal buffer views are stored once, and each accessor still reads its own values."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.gltf.accessors import VERTEX_ATTRIBUTES, add_accessor, read_accessor
from retarget.gltf.document import Glb, read_glb, write_glb
from retarget.gltf.merge import append_document, share_equal_views
from tests.helpers.characters import make_face

RANDOM = np.random.default_rng(0)


def written(blocks, views, path):
    """Write arrays as accessors, after `share_equal_views`. blocks: (values, view, offset in it). Returns the file as read."""
    kinds = {2: "VEC2", 3: "VEC3", 4: "VEC4"}
    accessors = [
        {"bufferView": view, "byteOffset": offset, "componentType": 5126, "count": len(values), "type": kinds[values.shape[1]]}
        for values, view, offset in blocks
    ]
    binary, items = bytearray(), []
    for content in views:
        items.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(content), "target": VERTEX_ATTRIBUTES})
        binary += content
    glb = Glb({"asset": {"version": "2.0"}, "accessors": accessors, "bufferViews": items}, binary)
    share_equal_views(glb)
    write_glb(glb, path)
    return read_glb(path)


def test_attributes_of_two_sizes_in_one_view(tmp_path):
    points, uv = RANDOM.random((6, 3), np.float32), RANDOM.random((6, 2), np.float32)
    normals = RANDOM.random((6, 3), np.float32)
    blocks = [(points, 0, 0), (uv, 0, points.nbytes), (normals, 0, points.nbytes + uv.nbytes)]
    glb = written(blocks, [points.tobytes() + uv.tobytes() + normals.tobytes()], tmp_path / "a.glb")
    for number, (values, _, _) in enumerate(blocks):
        np.testing.assert_array_equal(read_accessor(glb, number), values)
    strides = [glb.document["bufferViews"][accessor["bufferView"]]["byteStride"] for accessor in glb.document["accessors"]]
    assert strides == [12, 8, 12], "a view with several accessors must state its stride"


@pytest.mark.parametrize("widths", [(3, 3), (3, 2), (2, 4)])
def test_equal_bytes_of_other_elements(widths, tmp_path):
    blocks = [(np.zeros((24 // width, width), np.float32), view, 0) for view, width in enumerate(widths)]
    glb = written(blocks, [values.tobytes() for values, _, _ in blocks], tmp_path / "a.glb")
    for number, (values, _, _) in enumerate(blocks):
        np.testing.assert_array_equal(read_accessor(glb, number), values)
    assert len(glb.binary) == 96


def test_copies_of_a_mesh_keep_their_places_in_a_joint_file():
    first, second = make_face(), make_face()
    places = RANDOM.random((4, 3), np.float32)
    copies = {"attributes": {"TRANSLATION": add_accessor(second, places)}}
    second.document["nodes"][1]["extensions"] = {"EXT_mesh_gpu_instancing": copies}
    node = first.document["nodes"][append_document(first, second) + 1]
    number = node["extensions"]["EXT_mesh_gpu_instancing"]["attributes"]["TRANSLATION"]
    np.testing.assert_array_equal(read_accessor(first, number), places)
