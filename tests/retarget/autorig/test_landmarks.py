"""Landmark files: numbers and places, what is mirrored, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("scipy", reason="making shapes needs SciPy: the `rig` extra")

from retarget.autorig.landmarks import locate_landmarks, read_landmarks
from retarget.autorig.source_head import LANDMARKS, REQUIRED, load_source_head

SOURCE = load_source_head()
PLACE = {name: SOURCE.at_landmarks(SOURCE.neutral, [name])[0] for name in LANDMARKS}
POINTS = np.concatenate([SOURCE.neutral, [[9.0, 9.0, 9.0]]])
USED = np.arange(len(POINTS)) < len(SOURCE.neutral)


def given(*names, **changes):
    landmarks = {name: PLACE[name].tolist() for name in names}
    return {name: value for name, value in {**landmarks, **changes}.items() if value is not None}


def test_numbers_and_places(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(given(*LANDMARKS, chin=17)), encoding="utf-8")
    found = locate_landmarks(read_landmarks(tmp_path / "a.json"), POINTS, USED)
    assert list(found) == list(LANDMARKS) and found["chin"] == 17
    assert all(np.linalg.norm(POINTS[found[name]] - PLACE[name]) < 0.006 for name in LANDMARKS if name != "chin")


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_one_side_is_enough(side):
    names = [name for name in LANDMARKS if name.endswith(side) or not name.endswith(("Left", "Right"))]
    found = locate_landmarks(given(*names), POINTS, USED)
    assert set(found) == set(LANDMARKS)
    assert max(np.linalg.norm(POINTS[found[name]] - PLACE[name]) for name in LANDMARKS) < 0.012
    turned = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    moved = {name: (turned @ PLACE[name] * 20).tolist() for name in names}
    assert locate_landmarks(moved, POINTS @ turned.T * 20, USED) == found


@pytest.mark.parametrize(
    "landmarks, message",
    [
        ({}, "no landmarks; at least noseTip, chin"),
        (given(*REQUIRED, noseTip=None), "landmarks noseTip are missing"),
        (given("chin", "eyeOuterLeft"), "eyeOuterRight is missing and cannot be mirrored"),
        (given(*REQUIRED, chin=len(POINTS)), r"landmark chin: vertex 3995 of 3995 \(counted from 0\)"),
        (given(*REQUIRED, chin=-1), "landmark chin: vertex -1"),
        (given(*REQUIRED, chin=[0, 0.5, 0]), "landmark chin lies .* off the mesh"),
        (given(*REQUIRED, chin=len(POINTS) - 1), "landmark chin lies .* off the mesh"),
        (given(*REQUIRED, chin=[0, 1]), "landmark chin: expected a vertex number or"),
        (given(*REQUIRED, chin=[0, 0, float("nan")]), "landmark chin: expected a vertex number or"),
        (given(*REQUIRED, chin="x"), "landmark chin: expected"),
        (given(*REQUIRED, chin=True), "landmark chin: expected"),
        (given(*REQUIRED, chin=5, noseTip=5), "noseTip and chin are the same vertex, 5"),
    ],
)
def test_bad_landmarks(landmarks, message):
    with pytest.raises(ValueError, match=message):
        locate_landmarks(landmarks, POINTS, USED)


@pytest.mark.parametrize(
    "text, message",
    [
        ("[1]", "expected an object"),
        ("{", "not JSON"),
        ("[" * 99999, "not JSON"),
        ('{"nose": 1}', "unknown landmark nose; there are noseTip"),
    ],
)
def test_bad_files(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_landmarks(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_landmarks(tmp_path / "gone.json")


def test_a_misspelled_landmark_gets_a_suggestion(tmp_path):
    (tmp_path / "a.json").write_text('{"noseTop": 1}', encoding="utf-8")
    with pytest.raises(ValueError, match="did you mean 'noseTip'"):
        read_landmarks(tmp_path / "a.json")
