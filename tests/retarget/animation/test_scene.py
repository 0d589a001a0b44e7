"""The written scene: rules of glTF, and everybody in their place when it is played back by an independent reader."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.animation.pose import pose_vertices
from retarget.animation.scene import SceneOptions, write_scene, write_scene_files
from retarget.arkit import MIRROR
from retarget.geometry.rotations import rotation_about
from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import read_glb, write_glb
from retarget.gltf.node_tree import subtree, world_matrices
from retarget.performance.take import Take
from retarget.rig.load import load_rig
from tests.helpers.characters import make_body, make_face, make_take


def played(glb, key):
    """The document with every animated node as in the key-th key."""
    for animation in glb.document.get("animations", []):
        for channel in animation["channels"]:
            output = read_accessor(glb, animation["samplers"][channel["sampler"]]["output"])
            node = glb.document["nodes"][channel["target"]["node"]]
            if channel["target"]["path"] == "weights":
                count = len(glb.document["meshes"][node["mesh"]]["primitives"][0]["targets"])
                output = output.reshape(-1, count)
            node[channel["target"]["path"]] = output[key].tolist()
    return glb.document


def slow_vertices(glb, number, world):
    """Scene positions of one mesh node, vertex by vertex, as the specification defines them."""
    node = glb.document["nodes"][number]
    (primitive,) = glb.document["meshes"][node["mesh"]]["primitives"]
    points = read_accessor(glb, primitive["attributes"]["POSITION"]).astype(float)
    for weight, target in zip(node.get("weights", []), primitive.get("targets", []), strict=True):
        points += weight * read_accessor(glb, target["POSITION"])
    points = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    if "skin" not in node:
        return (points @ world[number].T)[:, :3]
    skin = glb.document["skins"][node["skin"]]
    bind = read_accessor(glb, skin["inverseBindMatrices"])
    joints = read_accessor(glb, primitive["attributes"]["JOINTS_0"])
    weights = read_accessor(glb, primitive["attributes"]["WEIGHTS_0"])
    result = np.zeros((len(points), 3))
    for v, point in enumerate(points):
        for joint, weight in zip(joints[v], weights[v], strict=True):
            result[v] += weight * (world[skin["joints"][joint]] @ bind[joint].reshape(4, 4).T @ point)[:3]
    return result


def check_rules(glb):
    """What the validator would say, as far as Python can."""
    document = glb.document
    for animation in document.get("animations", []):
        targets = [(channel["target"]["node"], channel["target"]["path"]) for channel in animation["channels"]]
        assert len(set(targets)) == len(targets)
        for sampler in animation["samplers"]:
            clock = document["accessors"][sampler["input"]]
            times = read_accessor(glb, sampler["input"])[:, 0]
            assert clock["min"] == [times.min()] and clock["max"] == [times.max()] and (np.diff(times) > 0).all()
            assert times[0] >= 0 and len(times) >= 2
            assert document["accessors"][sampler["output"]]["count"] % len(times) == 0
        for node, path in targets:
            assert path == "weights" or "matrix" not in document["nodes"][node]
    for view in document.get("bufferViews", []):
        assert view["byteOffset"] % 4 == 0
    if document.get("nodes"):
        world_matrices(document)


@pytest.mark.parametrize("make", [make_face, make_body])
@pytest.mark.parametrize("frames", [1, 4])
def test_played_back_by_a_slow_reader(make, frames, tmp_path):
    write_glb(make(), tmp_path / "a.glb")
    rig, take = load_rig(tmp_path / "a.glb"), make_take(3, frames)
    write_scene(take, [rig], tmp_path / "out.glb", 640, 480, 500)
    glb = read_glb(tmp_path / "out.glb")
    check_rules(glb)
    document = glb.document
    people = [
        number for number in document["scenes"][0]["nodes"] if "actor" in document["nodes"][number].get("extras", {})
    ]
    assert [document["nodes"][number]["extras"]["actor"] for number in people] == [1, 3, 5]
    for key in range(frames):
        world = world_matrices(played(glb, key))
        for place, person in enumerate(people):
            meshes = [number for number in subtree(document, [person]) if "mesh" in document["nodes"][number]]
            got = np.concatenate([slow_vertices(glb, number, world) for number in meshes])
            one = take[(take.actor == 2 * place + 1) & (take.time_s == np.unique(take.time_s)[key])]
            expected = pose_vertices(rig, one.coefficients, one.rotation, one.translation)[0]
            np.testing.assert_allclose(got, expected, atol=2e-6)


def test_meshes_are_shared_skeletons_are_not(body_path, tmp_path):
    write_scene(make_take(4, 2), [load_rig(body_path)], tmp_path / "out.glb")
    document = read_glb(tmp_path / "out.glb").document
    bodies = [node for node in document["nodes"] if "mesh" in node]
    assert len(bodies) == 4 and {node["mesh"] for node in bodies} == {0} and len(document["meshes"]) == 1
    assert {node["skin"] for node in bodies} == {0, 1, 2, 3}
    joints = [joint for skin in document["skins"] for joint in skin["joints"]]
    assert len(set(joints)) == len(joints) == 36 and len(document["animations"]) == 1
    assert len({tuple(node["weights"]) for node in bodies}) == 4


def test_times_are_true_and_start_at_zero(face_path, tmp_path):
    take = make_take(2, 3)
    late = take[(take.actor == 1) | (take.time_s > 10.01)][::-1]
    write_scene(late, [load_rig(face_path)], tmp_path / "out.glb")
    glb = read_glb(tmp_path / "out.glb")
    samplers = glb.document["animations"][0]["samplers"]
    clocks = {sampler["input"] for sampler in samplers if sampler["interpolation"] == "LINEAR"}
    times = sorted((read_accessor(glb, clock)[:, 0].tolist() for clock in clocks), key=len)
    np.testing.assert_allclose(times[1], np.arange(3) / 29.97, atol=1e-6)
    np.testing.assert_allclose(times[0], np.arange(1, 3) / 29.97, atol=1e-6)


def test_who_is_away_is_not_seen(face_path, tmp_path):
    frames = np.arange(100) / 25
    there = {
        0: frames >= 0,
        1: frames >= 1,
        2: frames < 1.5,
        3: (frames < 1) | (frames > 2),
        4: frames == 2,
        5: frames != 2,
    }
    rows = [(time, actor) for actor, when in there.items() for time in frames[when]]
    count = len(rows)
    take = Take(
        np.array([time for time, _ in rows]),
        np.array([actor for _, actor in rows]),
        np.zeros((count, 52)),
        np.tile([0, 0, 0, 1.0], (count, 1)),
        np.zeros((count, 3)),
    )
    write_scene(take, [load_rig(face_path)], tmp_path / "out.glb")
    glb = read_glb(tmp_path / "out.glb")
    check_rules(glb)
    seen = {}
    for channel in glb.document["animations"][0]["channels"]:
        if channel["target"]["path"] == "scale":
            sampler = glb.document["animations"][0]["samplers"][channel["sampler"]]
            actor = glb.document["nodes"][channel["target"]["node"]]["extras"]["actor"]
            times = read_accessor(glb, sampler["input"])[:, 0].astype(float).round(3).tolist()
            seen[actor] = list(zip(times, read_accessor(glb, sampler["output"])[:, 0].tolist(), strict=True))
            assert sampler["interpolation"] == "STEP"
    assert seen == {
        1: [(0, 0), (1, 1)],
        2: [(0, 1), (1.52, 0)],
        3: [(0, 1), (1.0, 0), (2.04, 1)],
        4: [(0, 0), (2, 1), (2.04, 0)],
    }


def test_weights_read_back(face_path, tmp_path):
    take, rig = make_take(3, 5), load_rig(face_path)
    write_scene(take, [rig], tmp_path / "out.glb")
    glb = read_glb(tmp_path / "out.glb")
    animation = glb.document["animations"][0]
    outputs = [
        read_accessor(glb, animation["samplers"][channel["sampler"]]["output"]).reshape(5, 3)
        for channel in animation["channels"]
        if channel["target"]["path"] == "weights"
    ]
    for actor, output in zip(take.actors(), outputs, strict=True):
        np.testing.assert_array_equal(output, rig.weights(take[take.actor == actor].coefficients))


def test_nobody(face_path, tmp_path):
    write_scene(Take.empty(), [load_rig(face_path)], tmp_path / "out.glb")
    glb = read_glb(tmp_path / "out.glb")
    check_rules(glb)
    assert "animations" not in glb.document and [node["name"] for node in glb.document["nodes"]] == ["camera", "lamp", "fill"]


def test_two_rigs_in_one_file(face_path, body_path, tmp_path):
    glb = read_glb(face_path)
    glb.document["asset"]["copyright"] = "one; two"
    glb.document["images"] = [{"bufferView": 0, "mimeType": "image/png"}]
    glb.document["textures"] = [{"source": 0}]
    glb.document["materials"][0]["extensions"] = {"KHR_x": {"deepTexture": {"index": 0}}}
    glb.document["extensionsUsed"] = ["KHR_x"]
    write_glb(glb, face_path)
    rigs, take = [load_rig(body_path), load_rig(face_path), load_rig(face_path)], make_take(5)
    write_scene(take, rigs, tmp_path / "out.glb")
    out = read_glb(tmp_path / "out.glb")
    check_rules(out)
    document = out.document
    assert document["asset"]["copyright"] == "one; two" and "KHR_x" in document["extensionsUsed"]
    last = document["materials"][-2]["extensions"]["KHR_x"]["deepTexture"]["index"]
    assert last == len(document["textures"]) - 1 == 1 and document["textures"][last]["source"] == 1
    names = [document["nodes"][number]["name"] for number in document["scenes"][0]["nodes"]]
    assert names == ["body 1", "face 3", "face 5", "body 7", "face 9", "camera", "lamp", "fill"]
    skins = [node for node in document["nodes"] if node.get("name") == "skin"]
    assert len(skins) == 3 and all(
        len(document["meshes"][node["mesh"]]["extras"]["targetNames"]) == 3 for node in skins
    )
    materials = [document["meshes"][node["mesh"]]["primitives"][0]["material"] for node in skins]
    assert all(document["materials"][number]["name"] == "skin" for number in materials)
    for node in document["nodes"]:
        if node.get("name") == "head":
            eyes = [document["nodes"][child]["name"] for child in node["children"]]
            assert eyes == ["skin", "leftEye", "rightEye"]


def test_order_does_not_matter(body_path, tmp_path):
    take, rig = make_take(3, 3), load_rig(body_path)
    write_scene(take, [rig], tmp_path / "a.glb")
    write_scene(take[np.random.default_rng(3).permutation(9)], [rig], tmp_path / "b.glb")
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()


def test_camera_sees_what_was_seen(face_path, tmp_path):
    write_scene(make_take(1), [load_rig(face_path)], tmp_path / "out.glb", 1280, 720, 900)
    document = read_glb(tmp_path / "out.glb").document
    lens = document["cameras"][0]["perspective"]
    assert np.tan(lens["yfov"] / 2) == pytest.approx(360 / 900) and lens["aspectRatio"] == pytest.approx(1280 / 720)
    lamp = next(node for node in document["nodes"] if node.get("name") == "lamp")
    assert (
        lamp["extensions"]["KHR_lights_punctual"]["light"] == 0 and "KHR_lights_punctual" in document["extensionsUsed"]
    )


def test_mirrored_take_mirrors_the_scene(tmp_path):
    glb = make_face(("mouthSmileLeft", "mouthSmileRight"))
    write_glb(glb, tmp_path / "a.glb")
    rig, take = load_rig(tmp_path / "a.glb"), make_take(2)
    quaternion = take.rotation * (1, -1, -1, 1)
    mirrored = Take(take.time_s, take.actor, take.coefficients[:, MIRROR], quaternion, take.translation * (-1, 1, 1))
    a = pose_vertices(rig, take.coefficients, take.rotation, take.translation)
    b = pose_vertices(rig, mirrored.coefficients, mirrored.rotation, mirrored.translation)
    left, right = rig.mesh.group_weights[:, 2] == 1, rig.mesh.group_weights[:, 3] == 1
    np.testing.assert_allclose(a[:, left].mean(axis=1) * (-1, 1, 1), b[:, right].mean(axis=1), atol=1e-6)


def test_signs_are_continuous(face_path, tmp_path):
    angles = np.linspace(0, 2 * np.pi, 40)
    turn = np.stack([0 * angles, np.sin(angles / 2), 0 * angles, np.cos(angles / 2)], axis=1)
    assert np.allclose(rotation_about("y", angles[3]) @ [0, 0, 1], [np.sin(angles[3]), 0, np.cos(angles[3])])
    take = Take(np.arange(40) / 30, np.zeros(40, int), np.zeros((40, 52)), turn, np.zeros((40, 3)))
    write_scene(take, [load_rig(face_path)], tmp_path / "out.glb")
    glb = read_glb(tmp_path / "out.glb")
    channel = next(c for c in glb.document["animations"][0]["channels"] if c["target"]["path"] == "rotation")
    output = read_accessor(glb, glb.document["animations"][0]["samplers"][channel["sampler"]]["output"])
    assert ((output[1:] * output[:-1]).sum(axis=1) > 0.9).all()


def test_matrix_joints_and_double_samples(tmp_path):
    glb = make_face()
    eye = glb.document["nodes"][2]
    eye["matrix"] = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, *eye.pop("translation"), 1]
    write_glb(glb, tmp_path / "a.glb")
    rig, take = load_rig(tmp_path / "a.glb"), make_take(1, 2)
    write_scene(take, [rig], tmp_path / "out.glb")
    out = read_glb(tmp_path / "out.glb")
    check_rules(out)
    assert out.document["nodes"][2]["translation"] == pytest.approx([0.03, 0, 0.04])
    with pytest.raises(ValueError, match="actor 1 has two samples at 10 s"):
        write_scene(Take.concatenate([take, take]), [rig], tmp_path / "never.glb")
    assert not (tmp_path / "never.glb").exists()


def test_brunette_keeps_her_looks(brunette_path, tmp_path):
    rig = load_rig(brunette_path)
    write_scene(make_take(3, 2), [rig], tmp_path / "out.glb")
    out = read_glb(tmp_path / "out.glb")
    check_rules(out)
    for kind in ("materials", "textures", "images", "samplers", "meshes"):
        assert out.document[kind] == rig.glb.document[kind]
    assert out.document["asset"]["copyright"] == "Ready Player Me" and len(out.document["skins"]) == 3


@pytest.mark.parametrize(
    ("rigs", "name", "error", "message"),
    [
        ("robot", "a.glb", TypeError, r"expected a list of characters, such as \[load_rig\('robot'\)\], got 'robot'"),
        (["robot"], "a.glb", TypeError, "got 'robot'"),
        ([], "a.glb", ValueError, "expected at least one character"),
        ([], "a.obj", ValueError, "a.obj: expected a file name that ends in .glb or .gltf; Blender converts"),
        ([], "a.vrm", ValueError, "a.vrm: expected a file name that ends in .glb or .gltf"),
        ([], "a.vrma", ValueError, "a.vrma: expected a file name that ends in .glb or .gltf"),
    ],
)
def test_wrong_rigs_and_names_are_refused(rigs, name, error, message, tmp_path):
    with pytest.raises(error, match=message):
        write_scene(make_take(1, 1), rigs, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_people_who_stay_in_place_need_a_character(tmp_path):
    with pytest.raises(ValueError, match="expected at least one character, got none"):
        write_scene_files(make_take(2, 1), [], tmp_path / "a.glb", SceneOptions(in_place=True))
    assert not list(tmp_path.iterdir())


def test_one_rig_is_not_a_list(face_path, tmp_path):
    with pytest.raises(TypeError, match="expected a list of characters"):
        write_scene(make_take(1, 1), load_rig(face_path), tmp_path / "a.glb")
