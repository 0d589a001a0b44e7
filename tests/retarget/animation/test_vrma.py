"""VRM animation files, read back by the rules of VRMC_vrm_animation 1.0."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.animation.vrma import write_vrma
from retarget.arkit import ARKIT_NAMES, EYE_TURN_RAD
from retarget.cli import main
from retarget.geometry.rotations import quaternion_to_matrix, rotation_about
from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import read_glb
from retarget.performance.take import Take
from tests.helpers.characters import make_take

REQUIRED = {"hips", "spine", "head"} | {
    side + bone
    for side in ("left", "right")
    for bone in ("UpperLeg", "LowerLeg", "Foot", "UpperArm", "LowerArm", "Hand")
}


def acting(frames=40, **weights):
    """A take of one person at 25 frames a second; weights: name -> (K,) values."""
    coefficients = np.zeros((frames, 52), np.float32)
    for name, values in weights.items():
        coefficients[:, ARKIT_NAMES.index(name)] = values
    place = np.tile([0, 0, -1.0], (frames, 1))
    return Take(np.arange(frames) / 25, np.zeros(frames, int), coefficients, np.tile([0, 0, 0, 1.0], (frames, 1)), place)


def curves(path):
    """{(node, path): (times, values)} and the extension."""
    glb = read_glb(path)
    (animation,) = glb.document["animations"]
    found = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        key = channel["target"]["node"], channel["target"]["path"]
        found[key] = read_accessor(glb, sampler["input"])[:, 0], read_accessor(glb, sampler["output"])
    return glb.document, found, glb.document["extensions"]["VRMC_vrm_animation"]


def test_bones_are_those_that_vrm_requires_and_only_head_and_neck_turn(tmp_path):
    take = acting()
    turn = np.stack([rotation_about("y", a) @ rotation_about("x", a / 2) for a in np.linspace(-0.6, 0.6, 40)])
    angle = np.linspace(-0.6, 0.6, 40) / 2
    take = Take(
        take.time_s,
        take.actor,
        take.coefficients,
        np.stack([0 * angle, np.sin(angle), 0 * angle, np.cos(angle)], 1),
        take.translation,
    )
    write_vrma(take, tmp_path / "a.vrma")
    document, found, extension = curves(tmp_path / "a.vrma")
    bones = {name: item["node"] for name, item in extension["humanoid"]["humanBones"].items()}
    assert set(bones) == REQUIRED | {"neck"} and extension["specVersion"] == "1.0"
    assert document["extensionsUsed"] == ["VRMC_vrm_animation"]
    assert all("rotation" not in document["nodes"][node] and "scale" not in document["nodes"][node] for node in bones.values())
    moved = {node for node, path in found if path == "rotation"}
    assert moved == {bones["neck"], bones["head"], extension["lookAt"]["node"]}
    neck, head = (quaternion_to_matrix(found[bones[name], "rotation"][1].astype(float)) for name in ("neck", "head"))
    np.testing.assert_allclose(neck @ head, quaternion_to_matrix(take.rotation.astype(float)), atol=1e-6)
    assert turn.shape == head.shape and document["nodes"][bones["neck"]]["children"] == [bones["head"]]


def test_gaze_is_one_direction_and_no_expression(tmp_path):
    share = np.linspace(0, 1, 40)
    write_vrma(acting(eyeLookOutLeft=share, eyeLookInRight=share, eyeLookDownLeft=share, eyeLookDownRight=share), tmp_path / "a.vrma")
    _, found, extension = curves(tmp_path / "a.vrma")
    direction = quaternion_to_matrix(found[extension["lookAt"]["node"], "rotation"][1].astype(float))[-1] @ (0, 0, 1)
    yaw, pitch = np.arctan2(direction[0], direction[2]), np.arcsin(-direction[1])
    assert yaw == pytest.approx(EYE_TURN_RAD[0], abs=1e-5) and pitch == pytest.approx(EYE_TURN_RAD[2], abs=1e-5)
    assert "expressions" not in extension and len(extension["lookAt"]["offsetFromHeadBone"]) == 3


@pytest.mark.parametrize(
    ("kind", "preset", "custom"), [("preset", {"blinkLeft"}, {"CheekPuff"}), ("arkit", set(), {"EyeBlinkLeft", "CheekPuff"})]
)
def test_expressions_are_weights_in_x_with_keyframes_of_their_own(kind, preset, custom, tmp_path):
    blink = np.zeros(40)
    blink[10:14] = (0.5, 1, 1, 0.5)
    write_vrma(acting(eyeBlinkLeft=blink, cheekPuff=np.linspace(0, 1, 40)), tmp_path / "a.vrma", tolerance=0.002, expressions=kind)
    _, found, extension = curves(tmp_path / "a.vrma")
    groups = extension["expressions"]
    assert set(groups.get("preset", {})) == preset and set(groups["custom"]) == custom
    times, values = found[groups["custom"]["CheekPuff"]["node"], "translation"]
    assert len(times) == 2 and values[:, 0] == pytest.approx([0, 1]) and not values[:, 1:].any()
    name = "blinkLeft" if kind == "preset" else "EyeBlinkLeft"
    times, values = found[groups["preset" if preset else "custom"][name]["node"], "translation"]
    np.testing.assert_allclose(np.interp(np.arange(40) / 25, times, values[:, 0]), blink, atol=0.003)
    assert len(times) < 10


def test_each_person_has_a_file(tmp_path, capsys):
    make_take(2, 3).save(tmp_path / "take.npz")
    for verb in ("convert", "animate"):
        assert main([verb, str(tmp_path / "take.npz"), "--out", str(tmp_path / f"{verb}.vrma")]) == 0
        assert {path.name for path in tmp_path.glob(f"{verb}*")} == {f"{verb}-person-1.vrma", f"{verb}-person-3.vrma"}
    assert "convert-person-1.vrma" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no samples"):
        write_vrma(Take.empty(), tmp_path / "none.vrma")
    with pytest.raises(ValueError, match=r"b\.glb: expected a file name that ends in \.vrma$"):
        write_vrma(make_take(1), tmp_path / "b.glb")


@pytest.mark.parametrize(
    "options",
    [
        *(["--in-place"], ["--avatar", "nosuch.glb"], ["--map", "n.json"], ["--strength", "jaw=2"], ["--head", "Skull"], ["--eyes", "L,R"]),
        *(["--footage", "a.mp4"], ["--animation-only"], ["--separate-meshes"], ["--light", "3"], ["--width", "640"], ["--focal", "900"]),
    ],
)
def test_options_without_effect_are_refused(options, tmp_path, capsys):
    make_take(1, 3).save(tmp_path / "take.npz")
    assert main(["animate", str(tmp_path / "take.npz"), "--out", str(tmp_path / "a.vrma"), *options]) == 1
    expected = f"a.vrma: {options[0]} would change nothing in the .vrma file; leave it out, or choose another file with --out\n"
    assert capsys.readouterr().err.endswith(expected) and not (tmp_path / "a.vrma").exists()
    assert main(["animate", str(tmp_path / "take.npz"), "--out", str(tmp_path / "a.glb"), "--expressions", "arkit"]) == 1
    assert "a.glb: --expressions would change nothing in the .glb file" in capsys.readouterr().err


def test_people_who_are_played_together_stay_in_time(tmp_path):
    """Person 3 appears 2 s after person 1, in a take that starts at 10 s. Time 0 of both files is the start of the take."""
    take = make_take(2, 90)
    late = take[(take.actor == 1) | (take.time_s > 11.99)]
    first, last = (curves(file)[1] for file in write_vrma(late, tmp_path / "a.vrma"))
    assert {times[0] for times, _ in first.values()} == {0}
    assert {round(float(times[0]), 4) for times, _ in last.values()} == {round(60 / 29.97, 4)}
    assert max(times[-1] for times, _ in first.values()) == max(times[-1] for times, _ in last.values())
    write_vrma(late[late.actor == 3], tmp_path / "alone.vrma")
    assert {times[0] for times, _ in curves(tmp_path / "alone.vrma")[1].values()} == {0}, "a take of one person starts with this person"


def test_a_photo_is_a_pose(tmp_path):
    write_vrma(make_take(1), tmp_path / "a.vrma")
    _, found, _ = curves(tmp_path / "a.vrma")
    assert all(times.tolist() == [0] for times, _ in found.values())
