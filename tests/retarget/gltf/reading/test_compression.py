"""Compressed meshes: the same character comes out, a missing decoder and damaged data give one line."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from retarget.animation.pose import pose_vertices
from retarget.animation.scene import write_scene
from retarget.cli.report import list_effects
from retarget.gltf.accessors import add_accessor, read_accessor
from retarget.gltf.document import read_glb, write_glb
from retarget.gltf.reading.compression import _decode_colors
from retarget.rig.load import load_rig
from tests.helpers.characters import make_body, make_face, make_take, quantized
from tests.helpers.compressed import DRACO, MESHOPT, with_draco, with_meshopt, write_packed

needs_codecs = pytest.mark.skipif(
    not (find_spec("meshoptimizer") and find_spec("DracoPy")),
    reason='compressed meshes are read with the extra: pip install ".[codecs]"',
)


def posed(rig):
    take = make_take(2)
    return pose_vertices(rig, take.coefficients, take.rotation, take.translation)


@needs_codecs
@pytest.mark.parametrize("change", [with_meshopt, lambda glb: with_meshopt(glb, "KHR_meshopt_compression"), with_draco])
@pytest.mark.parametrize("make", [make_face, make_body])
def test_the_same_character_comes_out(change, make, tmp_path):
    write_glb(make(), tmp_path / "plain.glb")
    write_packed(change(make()), tmp_path / "packed.glb")
    plain, packed = load_rig(tmp_path / "plain.glb"), load_rig(tmp_path / "packed.glb")
    assert list_effects(plain) == list_effects(packed)
    np.testing.assert_allclose(posed(packed), posed(plain), atol=1e-4)
    write_scene(make_take(2), [packed], tmp_path / "out.glb")
    written = read_glb(tmp_path / "out.glb").document
    assert DRACO not in str(written) and "meshopt" not in str(written)


@needs_codecs
@pytest.mark.parametrize("change", [with_meshopt, with_draco])
@pytest.mark.parametrize("kind, normalized", [(np.int16, True), (np.int16, False), (np.int8, True)])
def test_quantized_and_compressed_with_morph_targets(change, kind, normalized, tmp_path):
    write_glb(make_face(), tmp_path / "plain.glb")
    write_packed(change(quantized(make_face(), kind, normalized)), tmp_path / "packed.glb")
    plain, packed = load_rig(tmp_path / "plain.glb"), load_rig(tmp_path / "packed.glb")
    np.testing.assert_allclose(posed(packed), posed(plain), atol=0.2 / np.iinfo(kind).max + 1e-4)
    assert packed.glb.document["extensionsRequired"] == ["KHR_mesh_quantization"]


@needs_codecs
def test_a_buffer_beside_the_compressed_one_is_used(tmp_path):
    """A file that requires no decoder holds the plain data too."""
    glb = make_face()
    primitive = glb.document["meshes"][0]["primitives"][0]
    primitive["extensions"] = {DRACO: {"bufferView": 0, "attributes": {"POSITION": 0}}}
    glb.document["extensionsUsed"] = [DRACO]
    write_glb(glb, tmp_path / "both.glb")
    rig = load_rig(tmp_path / "both.glb")
    assert len(rig.mesh.positions) == 324 and DRACO not in str(rig.glb.document)


@needs_codecs
def test_primitives_that_share_their_vertices_keep_their_triangles(tmp_path):
    def make():
        glb = make_face()
        primitive = glb.document["meshes"][0]["primitives"][0]
        triangles = read_accessor(glb, primitive["indices"]).astype(np.uint32)
        halves = np.split(triangles, [len(triangles) // 6 * 3])
        parts = [{**primitive, "attributes": dict(primitive["attributes"]), "indices": add_accessor(glb, half, 34963)} for half in halves]
        glb.document["meshes"][0]["primitives"] = parts
        return glb

    write_glb(make(), tmp_path / "plain.glb")
    write_packed(with_draco(make()), tmp_path / "packed.glb")
    plain, packed = load_rig(tmp_path / "plain.glb"), load_rig(tmp_path / "packed.glb")
    np.testing.assert_array_equal(packed.mesh.triangles, plain.mesh.triangles)
    np.testing.assert_allclose(posed(packed), posed(plain), atol=1e-4)


@pytest.mark.parametrize("change, package", [(with_meshopt, "meshoptimizer"), (with_draco, "DracoPy")])
def test_without_the_extra_one_line_names_it(change, package, tmp_path, monkeypatch):
    pytest.importorskip(package)
    write_packed(change(make_face()), tmp_path / "a.glb")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'a\.glb: .*-compressed; reading them needs {package}: pip install "\.\[codecs\]"'):
        load_rig(tmp_path / "a.glb")


@needs_codecs
@pytest.mark.parametrize("properties, message", [
    ({"count": 10**9}, "damaged meshopt data|claims"),
    ({"mode": "LINES"}, "mode LINES"),
    ({"byteStride": 7}, "elements of 7 bytes"),
    ({"count": 5}, "damaged meshopt data"),
    ({"filter": "ODD"}, "unknown filter ODD"),
    ({"byteOffset": 10**7}, "lies outside buffer 0"),
])  # fmt: skip
def test_damaged_meshopt_data(properties, message, tmp_path):
    glb = with_meshopt(make_face())
    glb.document["bufferViews"][0]["extensions"][MESHOPT].update(properties)
    write_packed(glb, tmp_path / "a.glb")
    with pytest.raises(ValueError, match=message) as caught:
        read_glb(tmp_path / "a.glb")
    assert "\n" not in str(caught.value)


@needs_codecs
def test_damaged_draco_data(tmp_path):
    glb = with_draco(make_face())
    view = glb.document["bufferViews"][glb.document["meshes"][0]["primitives"][0]["extensions"][DRACO]["bufferView"]]
    view["byteLength"] //= 2
    write_packed(glb, tmp_path / "a.glb")
    with pytest.raises(ValueError, match="damaged Draco data"):
        read_glb(tmp_path / "a.glb")


def test_colors_of_the_color_filter():
    """Encoded by hand: gray 128 and white, opaque, eight bits. Alpha's highest bit marks a scale of 255."""
    encoded = np.array([[128, 0, 0, 255], [255, 0, 0, 255]], np.uint8).ravel()
    assert _decode_colors(encoded, 4).reshape(2, 4).tolist() == [[128, 128, 128, 255], [255, 255, 255, 255]]
