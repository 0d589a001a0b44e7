"""What Blender makes of a scene. The tests that need Blender are skipped where it is not installed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from retarget.animation.blender import convert
from retarget.animation.scene import SceneOptions, write_scene_files
from retarget.arkit import ARKIT_NAMES
from retarget.cli import main
from retarget.performance.take import Footage
from retarget.rig.load import load_rig
from tests.helpers.characters import make_take

FPS, START_FRAME, FRAMES = 30000 / 1001, 6, 20
PROBE = '''
import json, sys
sys.path.insert(0, sys.argv[-3])
import bpy, blender_import
startup = []
if sys.argv[-2].endswith(".glb"):
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    startup.append(sorted(thing.name for thing in bpy.data.objects))
    blender_import.remove_startup_objects()
    startup.append([len(kind) for kind in (bpy.data.objects, bpy.data.meshes, bpy.data.lights, bpy.data.cameras)])
    bpy.ops.mesh.primitive_cube_add()
    blender_import.remove_startup_objects()
    startup.append([thing.name for thing in bpy.data.objects])
    bpy.ops.wm.read_homefile(use_empty=True)
    blender_import.import_scene(sys.argv[-2])
else:
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=sys.argv[-2])
scene = bpy.context.scene
facts = {"fps": scene.render.fps / scene.render.fps_base, "range": [scene.frame_start, scene.frame_end]}
facts["size"] = [scene.render.resolution_x, scene.render.resolution_y]
facts["camera"] = scene.camera and scene.camera.name
facts["startup"] = startup
facts["light"] = sorted(light.energy for light in bpy.data.lights)
facts["world"] = scene.world is not None
facts["objects"] = sorted(thing.name for thing in bpy.data.objects if thing.type == "MESH")
facts["actions"] = sorted(action.name for action in bpy.data.actions)
curves = {}
for thing in bpy.data.objects:
    keys = thing.data.shape_keys if thing.type == "MESH" else None
    for owner in filter(None, (thing, keys)):
        for curve in blender_import.curves_of(owner):
            name = f"{thing.name}|{curve.data_path}|{curve.array_index}"
            curves[name] = [[point.co[0] for point in curve.keyframe_points], [curve.evaluate(frame) for frame in range(20)]]
facts["curves"] = curves
for image in bpy.data.images:
    if image.source == "MOVIE":
        nodes = bpy.data.objects["footage"].data.materials[0].node_tree.nodes
        user = next(node for node in nodes if node.type == "TEX_IMAGE").image_user
        facts["footage"] = [user.frame_start, user.frame_offset]
        shown = []  # Blender adds the offset to the frame, which counts up to the duration
        for frame in range(20):
            scene.frame_set(frame)
            shown.append(min(frame, user.frame_duration - 1) + user.frame_offset)
        facts["shown"] = shown
json.dump(facts, open(sys.argv[-1], "w"))
'''

def blender_has_numpy() -> bool:
    """Tell whether there is a Blender whose Python has NumPy, which Debian packs apart."""
    command = convert.blender_command()
    if command is None:
        return False
    probe = "import numpy; print('numpy is', 'here')"
    options = ["-c", probe] if "python" in Path(command[0]).name else ["--background", "--python-expr", probe]
    done = subprocess.run([command[0], *options], capture_output=True, text=True, check=False, timeout=120)
    return "numpy is here" in done.stdout


needs_blender = pytest.mark.skipif(not blender_has_numpy(), reason="no Blender, or one without NumPy")


@pytest.fixture
def take():
    """Two robots over frames 6 to 25 of a clip. The jaw moves in a line, the lids blink, all else rests."""
    take = make_take(2, FRAMES)
    coefficients = np.zeros_like(take.coefficients)
    frame = np.repeat(np.arange(FRAMES), 2)
    jaw, blink = ARKIT_NAMES.index("jawOpen"), ARKIT_NAMES.index("eyeBlinkLeft")
    coefficients[:, jaw], coefficients[:, blink] = frame / (FRAMES - 1), (frame == 10)
    time_s = (START_FRAME + frame) / FPS
    return replace(take, coefficients=coefficients, time_s=time_s, footage=Footage(64, 48, 60.0, FPS, "clip.mp4"))


def probe(file: Path, tmp_path: Path):
    """What Blender has after it read a .glb with our add-on, or an .fbx."""
    script, out = tmp_path / "probe.py", tmp_path / "facts.json"
    script.write_text(PROBE)
    command = [*convert.blender_command(), str(script), "--", str(Path(convert.__file__).parent), str(file), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert out.is_file(), done.stdout + done.stderr
    return json.loads(out.read_text())


def write_clip(path: Path) -> None:
    """Write a black clip of 30 frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (64, 48))
    for _ in range(30):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()


@needs_blender
@pytest.mark.parametrize("speed", [2, 1, 0.5])
def test_the_clip_keeps_its_speed(speed, take, tmp_path):
    write_clip(tmp_path / "clip.mp4")
    options = SceneOptions(fps=FPS / speed, footage_file=tmp_path / "clip.mp4")
    write_scene_files(take, [load_rig("robot")], tmp_path / "scene.glb", options)
    shown = probe(tmp_path / "scene.glb", tmp_path)["shown"]
    assert shown == [START_FRAME + int(frame * speed) for frame in range(20)]


@needs_blender
def test_a_scene_is_ready_to_render(take, tmp_path):
    write_clip(tmp_path / "clip.mp4")
    options = SceneOptions(tolerance=0.002, footage_file=tmp_path / "clip.mp4")
    write_scene_files(take, [load_rig("robot")], tmp_path / "scene.glb", options)
    facts = probe(tmp_path / "scene.glb", tmp_path)
    assert facts["fps"] == pytest.approx(FPS) and facts["range"] == [0, FRAMES - 1] and facts["size"] == [64, 48]
    assert facts["camera"] == "camera" and facts["world"] and facts["light"][-1] == pytest.approx(2000 / 683, rel=1e-3)
    assert facts["startup"] == [["Camera", "Cube", "Light"], [0, 0, 0, 0], ["Cube"]], "what a new file holds goes, what a user adds stays"
    assert facts["objects"] == ["footage", "robot 1", "robot 3"] and facts["actions"] == ["robot 1", "robot 3"]
    assert facts["footage"] == [0, START_FRAME]
    weights = {name.split('"')[1]: curve for name, curve in facts["curves"].items() if name.startswith("robot 1|key")}
    assert set(weights) == {"jawOpen", "eyeBlinkLeft"}  # the other fifty do not change
    assert weights["jawOpen"][0] == [0, FRAMES - 1] and len(weights["eyeBlinkLeft"][0]) == 5
    np.testing.assert_allclose(weights["jawOpen"][1], np.arange(FRAMES) / (FRAMES - 1), atol=0.004)
    np.testing.assert_allclose(weights["eyeBlinkLeft"][1], np.arange(FRAMES) == 10, atol=0.004)
    assert all(frame == round(frame) for frames, _ in facts["curves"].values() for frame in frames)


@needs_blender
def test_fbx_and_blend_are_written(take, tmp_path, capsys):
    take.save(tmp_path / "take.npz")
    for suffix in (".fbx", ".blend"):
        assert main(["animate", str(tmp_path / "take.npz"), "robot", "--out", str(tmp_path / f"a{suffix}")]) == 0
    assert (tmp_path / "a.blend").read_bytes()[:7] in (b"BLENDER", b"\x28\xb5\x2f\xfd" + (tmp_path / "a.blend").read_bytes()[4:7])
    facts = probe(tmp_path / "a.fbx", tmp_path)
    assert {"robot 1", "robot 3"} <= set(facts["objects"])
    jaw = [values for name, (_, values) in facts["curves"].items() if name.startswith("robot 1|key") and "jawOpen" in name]
    assert len(jaw) == 1 and max(jaw[0]) - min(jaw[0]) > 0.9


def test_without_blender_there_is_one_line(take, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(convert, "blender_command", lambda: None)
    take.save(tmp_path / "take.npz")
    assert main(["animate", str(tmp_path / "take.npz"), "robot", "--out", str(tmp_path / "a.fbx")]) == 1
    error = capsys.readouterr().err
    assert "Blender writes .fbx, and it was not found (install Blender" in error and error.count("\n") == 1
    assert not (tmp_path / "a.fbx").exists()


def test_a_failing_blender_leaves_nothing(take, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "blender_command", lambda: ["python3", "-c", "import sys; sys.exit('out of memory')"])
    with pytest.raises(ValueError, match=r"a\.fbx: Blender could not write it \(out of memory\)"):
        write_scene_files(take, [load_rig("robot")], tmp_path / "a.fbx", SceneOptions())
    assert list(tmp_path.iterdir()) == []


def test_a_blender_that_hangs_is_one_line(take, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(convert, "blender_command", lambda: ["python3", "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(convert, "_MAX_SECONDS", 0.2)
    take.save(tmp_path / "take.npz")
    assert main(["animate", str(tmp_path / "take.npz"), "robot", "--out", str(tmp_path / "a.fbx"), "--quiet"]) == 1
    error = capsys.readouterr().err
    assert "a.fbx: Blender did not write it within 0.2 s" in error and error.count("\n") == 1
    assert not (tmp_path / "a.fbx").exists()


@pytest.mark.parametrize(("program", "is_python"), [("/opt/blender/blender", False), ("/opt/venv/bin/python3", True)])
def test_the_environment_names_blender(program, is_python, monkeypatch):
    monkeypatch.setenv("BLENDER", program)
    command = convert.blender_command()
    assert command[0] == program and (len(command) == 1) == is_python
