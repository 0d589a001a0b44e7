"""What a rig finds in a file, and the one product that drives it."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from retarget.animation.scene import write_scene
from retarget.arkit import ARKIT_NAMES, MIRROR
from retarget.cli.report import list_effects
from retarget.gltf.document import Glb, read_glb, write_glb
from retarget.gltf.node_tree import world_matrices
from retarget.render.scene import render_scene
from retarget.rig.load import load_rig
from tests.helpers.characters import make_body, make_face, make_take


def saved(glb, tmp_path):
    path = tmp_path / "rig.glb"
    write_glb(glb, path)
    return path


def coefficients(**values):
    row = np.zeros((1, 52))
    for name, value in values.items():
        row[0, ARKIT_NAMES.index(name)] = value
    return row


def test_face(face_path):
    rig = load_rig(face_path)
    nodes = rig.glb.document["nodes"]
    assert rig.name == "face" and rig.matrix.shape == (52, 3) and not rig.has_body and rig.scale == 1
    assert nodes[rig.head]["name"] == "head" and [nodes[eye]["name"] for eye in rig.eyes] == ["leftEye", "rightEye"]
    assert rig.eyes_turn and rig.undriven == () and len(rig.unmapped) == 52 - 3 - 8
    np.testing.assert_allclose(rig.eye_center, [0, 0, 0.04], atol=1e-7)
    weights = rig.weights(coefficients(jawOpen=0.5, eyeBlinkLeft=0.25, mouthSmileRight=2, mouthSmileLeft=1))
    np.testing.assert_allclose(weights, [[0.5, 0.25, 1]])
    effects = dict(list_effects(rig))
    assert list(effects) == list(ARKIT_NAMES) and effects["eyeBlinkLeft"] == "skin.eyeBlink_L"
    assert effects["eyeLookUpRight"] == "right eye joint" and effects["tongueOut"] == ""


def test_body(body_path):
    rig = load_rig(body_path)
    assert rig.has_body and rig.glb.document["nodes"][rig.head]["name"] == "mixamorig:Head" and rig.scale == 1
    elbow = world_matrices(rig.glb.document)[[6, 8], :3, 3]
    assert (elbow[:, 1] < 1.1).all() and elbow[0, 0] > 0.2 and elbow[1, 0] < -0.2, "arms hang at their own sides"


def test_brunette(brunette_path):
    rig = load_rig(brunette_path)
    assert rig.unmapped == () and len(rig.undriven) == 15 and rig.matrix.shape == (52, 4 * 67) and rig.has_body
    assert not rig.eyes_turn and rig.scale == 1
    names = [name for morph in rig.morphs for name in morph.names]
    weights = rig.weights(np.eye(52))
    for row, name in enumerate(ARKIT_NAMES):
        assert [names[column] for column in np.flatnonzero(weights[row])] == [name] * 4


def test_many_is_one_and_order(face_path):
    rig = load_rig(face_path)
    given = np.random.default_rng(0).uniform(-0.5, 1.5, (50, 52))
    many = rig.weights(given)
    np.testing.assert_allclose(many, np.concatenate([rig.weights(row[None]) for row in given]), atol=1e-6)
    order = np.random.default_rng(1).permutation(50)
    np.testing.assert_allclose(rig.weights(given[order]), many[order], atol=1e-6)
    assert rig.weights(np.zeros((0, 52))).shape == (0, 3) and rig.eye_rotations(np.zeros((0, 52))).shape == (0, 2, 3, 3)
    assert many.min() >= 0 and many.max() <= 1
    with pytest.raises(ValueError, match=r"expected shape \(N, 52\), got \(52,\)"):
        rig.weights(np.zeros(52))


def test_mirrored_coefficients(tmp_path):
    rig = load_rig(saved(make_face(("mouthSmileLeft", "mouthSmileRight", "jawOpen")), tmp_path))
    given = np.random.default_rng(0).uniform(0, 1, (9, 52))
    np.testing.assert_allclose(rig.weights(given[:, MIRROR]), rig.weights(given)[:, [1, 0, 2]], atol=1e-6)
    side = np.diag([-1.0, 1, 1])
    mirrored = side @ rig.eye_rotations(given)[:, ::-1] @ side
    np.testing.assert_allclose(rig.eye_rotations(given[:, MIRROR]), mirrored, atol=1e-12)


@pytest.mark.parametrize(
    "given, direction",
    [
        ({"eyeLookOutLeft": 1, "eyeLookInRight": 1}, (1, 0)),  # to the subject's left, +x
        ({"eyeLookInLeft": 1, "eyeLookOutRight": 1}, (-1, 0)),
        ({"eyeLookUpLeft": 1, "eyeLookUpRight": 1}, (0, 1)),
        ({"eyeLookDownLeft": 1, "eyeLookDownRight": 1}, (0, -1)),
    ],
)
def test_gaze(given, direction, face_path):
    looks_at = load_rig(face_path).eye_rotations(coefficients(**given))[0] @ [0, 0, 1]
    assert (np.sign(np.round(looks_at[:, :2], 9)) == [direction, direction]).all() and (looks_at[:, 2] > 0.8).all()


def test_gaze_by_morphs_leaves_joints(tmp_path):
    glb = make_face(("jawOpen", "eyeLookOutLeft", "x"))
    assert load_rig(saved(glb, tmp_path)).eyes_turn, "that target moves the skin alone, as eyelids do"
    for node in glb.document["nodes"][2:4]:  # as if the skin hung on the eyes
        node["mesh"] = 0
    rig = load_rig(saved(glb, tmp_path))
    assert not rig.eyes_turn and (rig.eye_rotations(np.ones((2, 52))) == np.eye(3)).all() and rig.undriven == ("x",)


def test_resting_weights_and_halves(tmp_path):
    glb = make_face(("jawOpen", "ears", "browInnerUp_L", "browInnerUp_R"))
    glb.document["meshes"][0]["weights"] = [0.7, 0.6, 0, 0]
    weights = load_rig(saved(glb, tmp_path)).weights(coefficients(browInnerUp=0.5))
    np.testing.assert_allclose(weights, [[0, 0.6, 0.5, 0.5]], rtol=1e-6)


def test_weights_of_undriven_targets_stay_as_they_are_stored(tmp_path):
    glb = make_face(("jawOpen", "ears", "nose"))
    glb.document["meshes"][0]["weights"] = [0.7, -0.5, 1.4]
    rig = load_rig(saved(glb, tmp_path))
    np.testing.assert_allclose(rig.weights(coefficients(jawOpen=1.5)), [[1, -0.5, 1.4]], rtol=1e-6)
    write_scene(make_take(1), [rig], tmp_path / "out.glb")
    (weights,) = [node["weights"] for node in read_glb(tmp_path / "out.glb").document["nodes"] if "weights" in node]
    np.testing.assert_allclose(weights[1:], [-0.5, 1.4], rtol=1e-6)


def test_empty_target_has_no_effect(tmp_path):
    glb = make_face()
    targets = glb.document["meshes"][0]["primitives"][0]["targets"]
    glb.document["accessors"][targets[0]["POSITION"]].pop("sparse")
    rig = load_rig(saved(glb, tmp_path))
    assert "jawOpen" in rig.unmapped and dict(list_effects(rig))["jawOpen"] == ""


@pytest.mark.parametrize(
    "names, message",
    [
        ((), "no morph targets .expected ARKit names such as jawOpen"),
        (("viseme_sil", "viseme_PP"), "none of its 2 morph targets .viseme_sil, viseme_PP"),
        (("a", "b", "c"), "none of its 3 morph targets .a, b, c"),
    ],
)
def test_cannot_show_a_face(names, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_rig(saved(make_face(names), tmp_path))


def test_no_triangles(tmp_path):
    glb = make_face()
    for mesh in glb.document["meshes"]:
        mesh["primitives"][0]["mode"] = 1
    with pytest.raises(ValueError, match="no triangles"):
        load_rig(saved(glb, tmp_path))


@pytest.mark.parametrize("old", [False, True])
def test_vrm_bones(old, tmp_path):
    glb = make_face()
    for number, node in enumerate(glb.document["nodes"]):
        node["name"] = f"n{number}"
    if old:
        bones = [{"bone": "head", "node": 0}, {"bone": "leftEye", "node": 2}, {"bone": "rightEye", "node": 3}]
        glb.document["extensions"] = {"VRM": {"humanoid": {"humanBones": bones}}}
    else:
        bones = {"head": {"node": 0}, "leftEye": {"node": 2}, "rightEye": {"node": 3}, "hips": {"node": 999}}
        glb.document["extensions"] = {"VRMC_vrm": {"humanoid": {"humanBones": bones}}}
    rig = load_rig(saved(glb, tmp_path))
    assert rig.head == 0 and rig.eyes == (2, 3) and rig.front_rotation[2, 2] == (-1 if old else 1)


@pytest.mark.parametrize("size", [0.01, 1, 100])
def test_other_units_are_scaled(size, tmp_path):
    rig = load_rig(saved(make_face(size=size), tmp_path))
    assert rig.scale * size == pytest.approx(1 if size == 1 else 1.2)


def test_eyes_from_lids(tmp_path):
    glb = make_face(("eyeBlinkLeft", "eyeBlinkRight", "jawOpen"))
    for node in glb.document["nodes"]:
        node["name"] = "x"
    rig = load_rig(saved(glb, tmp_path))
    assert rig.head is None and rig.eyes is None and not rig.has_body
    low, high = rig.mesh.rest_positions().min(axis=0), rig.mesh.rest_positions().max(axis=0)
    assert (rig.eye_center > low).all() and (rig.eye_center < high).all()


def test_broken_insides(tmp_path):
    glb = make_body()
    attributes = glb.document["meshes"][0]["primitives"][0]["attributes"]
    joints = glb.document["accessors"][attributes["JOINTS_0"]]
    start = glb.document["bufferViews"][joints["bufferView"]]["byteOffset"]
    glb.binary[start] = 200
    with pytest.raises(ValueError, match="use joint 200 of 9"):
        load_rig(saved(glb, tmp_path))
    glb = make_body()
    indices = glb.document["accessors"][glb.document["meshes"][0]["primitives"][0]["indices"]]
    start = glb.document["bufferViews"][indices["bufferView"]]["byteOffset"]
    glb.binary[start : start + 2] = b"\xff\xff"
    with pytest.raises(ValueError, match="65535 for 216 vertices"):
        load_rig(saved(glb, tmp_path))


JUNK = [None, True, -1, 0, 3, 10**9, 1e300, -0.5, "a", "", [], [1], [0.5] * 4, {}, {"a": 1}, [[]], [{}]]


def places(item, path=()):
    """Paths to everything inside a JSON document."""
    if path:
        yield path
    for key, value in item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ():
        yield from places(value, (*path, key))


@pytest.mark.parametrize("make", [make_face, make_body])
def test_any_property_may_be_junk(make, tmp_path):
    """A file with something replaced by nonsense loads and draws, or gives one line; nothing else, and no warning."""
    rng, base = np.random.default_rng(0), make()
    base.document["materials"] = [
        {"pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 1]}, "emissiveFactor": [0, 0, 0]}
    ] * 2
    base.document["extensions"] = {"VRMC_vrm": {"humanoid": {"humanBones": {"head": {"node": 0}}}}}
    paths = list(places(base.document))
    for number in rng.choice(len(paths), 60, replace=False):
        document = json.loads(json.dumps(base.document))
        place = document
        for key in paths[number][:-1]:
            place = place[key]
        place[paths[number][-1]] = JUNK[rng.integers(len(JUNK))]
        write_glb(Glb(document, base.binary), tmp_path / "junk.glb")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                rig = load_rig(tmp_path / "junk.glb")
                render_scene(make_take(1), [rig], 32, 24, 30)
                write_scene(make_take(1), [rig], tmp_path / "out.glb")
            except ValueError as error:
                assert "\n" not in str(error) and len(str(error)) < 500, paths[number]


def test_take_drives_it(face_path):
    assert load_rig(face_path).weights(make_take(4, 2).coefficients).shape == (8, 3)
