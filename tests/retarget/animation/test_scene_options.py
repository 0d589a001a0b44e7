"""Options of a scene: frames, what stays in place, what is left out, the camera and the light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retarget.animation.scene import SceneOptions, build_scene, write_scene_files
from retarget.animation.surroundings import Camera
from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import read_glb, write_glb
from retarget.gltf.node_tree import world_matrices
from retarget.performance.take import Footage, Take
from retarget.rig.load import load_rig
from tests.helpers.characters import make_face, make_take


def key_times(glb):
    """All key times of the scene's animation, in seconds."""
    return np.concatenate([read_accessor(glb, sampler["input"])[:, 0] for sampler in glb.document["animations"][0]["samplers"]])


@pytest.mark.parametrize("fps", [None, 24, 60])
def test_keys_lie_on_whole_frames(fps, face_path):
    take = make_take(2, 9)
    jitter = np.random.default_rng(0).uniform(-0.002, 0.002, 9)
    moved = replace(take, time_s=take.time_s + np.repeat(jitter, 2), footage=Footage(fps=25))
    glb = build_scene(moved, [load_rig(face_path)], SceneOptions(fps=fps, tolerance=0.01))
    frames = key_times(glb).astype(float) * (fps or 25)
    np.testing.assert_allclose(frames, np.round(frames), atol=1e-4)
    assert glb.document["scenes"][0]["extras"]["fps"] == (fps or 25)


def test_what_does_not_change_has_no_channel(face_path):
    take = make_take(1, 20)
    still = Take(take.time_s, take.actor, np.tile(take.coefficients[:1], (20, 1)), take.rotation, np.tile(take.translation[:1], (20, 1)))
    rig = load_rig(face_path)
    glb = build_scene(still, [rig], SceneOptions(tolerance=0.002))
    assert {channel["target"]["path"] for channel in glb.document["animations"][0]["channels"]} == {"rotation", "translation"}
    (weights,) = [node["weights"] for node in glb.document["nodes"] if "weights" in node]
    np.testing.assert_allclose(weights, rig.weights(take.coefficients[:1])[0])
    assert "animations" not in build_scene(still[:1], [rig]).document


def test_the_scene_states_its_frames_and_footage(face_path, tmp_path):
    take = replace(make_take(2, 5), footage=Footage(640, 360, 500.0, 29.97, "clip.mp4"))
    (tmp_path / "out").mkdir()
    options = SceneOptions(footage_file=tmp_path / "clips" / "clip.mp4")
    write_scene_files(take, [load_rig(face_path)], tmp_path / "out" / "a.glb", options)
    document = read_glb(tmp_path / "out" / "a.glb").document
    expected = {"fps": 29.97, "frames": 5, "width": 640, "height": 360, "footage": "../clips/clip.mp4"}
    expected |= {"footage_frame": 300, "footage_fps": 29.97}
    assert document["scenes"][0]["extras"] == expected
    lens = document["cameras"][0]["perspective"]
    assert np.tan(lens["yfov"] / 2) == pytest.approx(180 / 500) and lens["aspectRatio"] == pytest.approx(640 / 360)


@pytest.mark.parametrize("fps", [None, 24, 60])
def test_the_frame_of_the_footage_is_counted_at_its_own_rate(fps, face_path):
    """A clip of 30 frames a second. The take starts at 2 s, which is frame 60 of the clip, whatever the rate of the scene."""
    take = make_take(1, 5)
    late = replace(take, time_s=2 + np.arange(5) / 30, footage=Footage(name="clip.mp4", fps=30))
    for stated in (late, replace(late, footage=Footage(name="clip.mp4"))):
        extras = build_scene(stated, [load_rig(face_path)], SceneOptions(fps=fps)).document["scenes"][0]["extras"]
        assert extras["fps"] == (fps or 30) and extras["footage_frame"] == 60
        assert extras["footage_fps"] == 30


def test_light_survives_blenders_import(face_path):
    """Blender makes 1 W/m² of 683 lux; a sun of 1 to 5 W/m² lights a scene."""
    document = build_scene(make_take(1), [load_rig(face_path)]).document
    lights = document["extensions"]["KHR_lights_punctual"]["lights"]
    assert all(light["type"] == "directional" for light in lights) and 1 < lights[0]["intensity"] / 683 < 5
    dark = build_scene(make_take(1), [load_rig(face_path)], SceneOptions(light_lux=0)).document
    assert "extensions" not in dark and [node["name"] for node in dark["nodes"]][-1] == "camera"


@pytest.mark.parametrize("kind", ["face", "body", "robot"])
def test_in_place_means_at_its_own_origin(kind, face_path, body_path, tmp_path):
    rig = load_rig({"face": face_path, "body": body_path}.get(kind, kind))
    files = write_scene_files(make_take(2, 6), [rig], tmp_path / "a.glb", SceneOptions(in_place=True))
    assert [file.name for file in files] == ["a-person-1.glb", "a-person-3.glb"]
    glb = read_glb(files[1])
    document = glb.document
    root = document["scenes"][0]["nodes"][0]
    assert document["nodes"][root]["extras"] == {"actor": 3} and "scale" not in document["nodes"][root]
    moves = [c["target"]["path"] for c in document["animations"][0]["channels"] if c["target"]["node"] == root]
    assert "translation" not in moves and "scale" not in moves
    assert ("rotation" in moves) == (not rig.has_body)
    np.testing.assert_allclose(world_matrices(document)[root][:3, 3], 0, atol=1e-9)
    camera = world_matrices(document)[next(k for k, node in enumerate(document["nodes"]) if "camera" in node)]
    seen = np.linalg.inv(camera) @ np.append(rig.eye_center, 1)
    assert seen[2] < 0 and np.abs(seen[:2]).max() < 1e-6  # the eyes are in the middle of the picture


def test_people_in_place_stay_in_time(face_path, tmp_path):
    """Person 3 appears 2 s after person 1. Time 0 and the range of frames of both files are those of the take."""
    take = replace(make_take(2, 90), footage=Footage(name="clip.mp4"))
    late = take[(take.actor == 1) | (take.time_s > 11.99)]
    files = write_scene_files(late, [load_rig(face_path)], tmp_path / "a.glb", SceneOptions(in_place=True, fps=59.94))
    first, last = map(read_glb, files)
    assert key_times(first).min() == 0 and key_times(last).min() == pytest.approx(60 / 29.97)
    assert key_times(first).max() == key_times(last).max()
    extras = [glb.document["scenes"][0]["extras"] for glb in (first, last)]
    assert extras[0] == extras[1] and extras[0]["frames"] == 179 and extras[0]["footage_frame"] == 300
    alone = build_scene(late[late.actor == 3], [load_rig(face_path)], SceneOptions(in_place=True))
    assert key_times(alone).min() == 0, "a take of one person starts with this person"


def test_one_person_in_place_keeps_the_name(face_path, tmp_path):
    files = write_scene_files(make_take(1, 3), [load_rig(face_path)], tmp_path / "a.glb", SceneOptions(in_place=True))
    assert files == [tmp_path / "a.glb"]


def test_animation_only_is_the_same_animation_without_surfaces(face_path, body_path, tmp_path):
    rigs, take = [load_rig(face_path), load_rig(body_path), load_rig("robot")], make_take(3, 6)
    whole = build_scene(take, rigs, SceneOptions(separate_meshes=True))
    write_scene_files(take, rigs, tmp_path / "a.glb", SceneOptions(animation_only=True))
    bare = read_glb(tmp_path / "a.glb")

    def moves(glb):
        (animation,) = glb.document["animations"]
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            name = glb.document["nodes"][channel["target"]["node"]]["name"]
            yield name, channel["target"]["path"], read_accessor(glb, sampler["output"]).tobytes()

    assert sorted(moves(bare)) == sorted(moves(whole))
    names = [mesh["extras"]["targetNames"] for mesh in bare.document["meshes"]]
    assert sorted(map(len, names)) == [2, 3, 4, 5, 5, 52]
    assert not {"materials", "images", "cameras", "skins", "extensions"} & set(bare.document)
    assert len(bare.binary) < len(whole.binary) / 20


def test_animation_only_has_the_structure_and_the_arms_of_the_file(body_path):
    take = make_take(2, 3)
    robot = load_rig("robot")
    names = [node.get("name") for node in read_glb(robot.glb.path).document["nodes"]]
    document = build_scene(take[take.actor == 1], [robot], SceneOptions(animation_only=True)).document
    assert [node["name"] for node in document["nodes"]] == [*names, "robot 1"]
    assert len(document["meshes"]) == sum(any(morph.node == k for morph in robot.morphs) for k in range(len(names)))
    stored = read_glb(body_path).document["nodes"]
    for scene in (build_scene(take, [load_rig(body_path)], SceneOptions(animation_only=True)), build_scene(take, [load_rig(body_path)])):
        arms = [node for node in scene.document["nodes"] if node["name"] == "LeftArm"]
        assert len(arms) == 2 and all(arm["translation"] == [0.2, 0.3, 0] for arm in arms)
        assert all(("rotation" in arm) == ("cameras" in scene.document) for arm in arms) and "rotation" not in stored[5]


def test_no_animation_of_nobody(face_path, tmp_path):
    rigs, options = [load_rig(face_path)], SceneOptions(animation_only=True)
    with pytest.raises(ValueError, match=r"a\.glb: the take has no samples, so there is no animation to write"):
        write_scene_files(Take.empty(), rigs, tmp_path / "a.glb", options)
    assert not (tmp_path / "a.glb").exists()
    assert "nodes" not in build_scene(Take.empty(), rigs, options).document["scenes"][0], "glTF forbids empty lists"


@pytest.mark.parametrize("place", ["primitive", "accessors"])
@pytest.mark.parametrize("animation_only", [False, True])
def test_names_of_targets_from_elsewhere_are_written_to_the_mesh(place, animation_only, tmp_path):
    glb = make_face()
    mesh = glb.document["meshes"][0]
    names, primitive = mesh.pop("extras")["targetNames"], mesh["primitives"][0]
    if place == "primitive":
        primitive["extras"] = {"targetNames": names}  # as VRM 0.x has them
    else:
        for name, target in zip(names, primitive["targets"], strict=True):
            glb.document["accessors"][target["POSITION"]]["name"] = name
    write_glb(glb, tmp_path / "a.glb")
    document = build_scene(make_take(2, 3), [load_rig(tmp_path / "a.glb")], SceneOptions(animation_only=animation_only)).document
    assert [mesh["extras"]["targetNames"] for mesh in document["meshes"] if "targets" in mesh["primitives"][0]] == [names]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SceneOptions(fps=0), "expected more than 0"),
        (SceneOptions(fps=2000), "at most 1000"),
        (SceneOptions(light_lux=-1), "expected 0"),
        (SceneOptions(camera=Camera(0, 10, 10.0)), "at least 1 x 1 px"),
    ],
)
def test_wrong_options_are_refused(options, message, face_path):
    with pytest.raises(ValueError, match=message):
        build_scene(make_take(1, 2), [load_rig(face_path)], options)
