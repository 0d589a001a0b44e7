"""`mfn animate --likeness` from picture and clip to files: each person has a character of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mfn.animation.people.looks import people_of_clip
from mfn.cli.main import main
from mfn.structures.faces import Faces
from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import read_glb
from retarget.io.images import write_image


@pytest.fixture
def crowd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a picture of two spots."""
    monkeypatch.chdir(tmp_path)
    picture = np.zeros((768, 1280, 3), np.uint8)
    picture[160:176, 320:336] = picture[480:496, 960:976] = 255
    write_image("crowd.png", picture)
    return tmp_path


def test_a_scene_has_one_character_for_each_person(crowd: Path, spots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--out", "x.glb"]
    assert main([*arguments, "--likeness", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("likeness 1: the head's form of 2 people; the colors of skin of ")
    glb = read_glb("x.glb")
    own = glb.document["meshes"]
    positions = [read_accessor(glb, mesh["primitives"][0]["attributes"]["POSITION"]) for mesh in own]
    assert all(np.isfinite(values).all() for values in positions)
    assert main(arguments) == 0
    assert not capsys.readouterr().out.startswith("likeness")
    assert len(own) == 2 * len(read_glb("x.glb").document["meshes"])  # without it, both share one character


def test_a_value_above_one_is_one_line(crowd: Path, spots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["animate", "crowd.png", "--likeness", "1.5", "--weights", str(spots)]) == 2
    assert "--likeness" in capsys.readouterr().err


def test_a_person_of_a_clip_is_the_mean_over_the_frames(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 240))
    for _ in range(6):
        writer.write(np.full((240, 320, 3), 128, np.uint8))
    writer.release()
    count = 8
    track = np.array([4, 9] * 4)
    identity = np.zeros((count, 64))
    identity[:, 0] = np.arange(count)
    faces = Faces(
        image=np.arange(count) // 2, box=np.tile([100, 60, 220, 200], (count, 1)), score=np.ones(count),
        rotation=np.tile(np.diag([1.0, -1, -1]), (count, 1, 1)), scale=np.full(count, 800.0), center=np.tile([160, 120], (count, 1)),
        identity=identity, expression=np.zeros((count, 51)), track=track,
    )  # fmt: skip
    people = people_of_clip(path, faces)
    assert [float(person.identity[0]) for person in people] == [3, 4]
    assert all(person.colors.skin is not None for person in people)
    assert people_of_clip(path, faces[[]]) == []
