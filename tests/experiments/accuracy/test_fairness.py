"""Errors by group of people: the table is read, pictures are drawn evenly, and figures come with their intervals."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="packs are read by mfn.training")
from experiments.accuracy.fairness import (
    Person,
    Reading,
    by_yaw,
    compare,
    draw_pictures,
    middle_face,
    read_people,
)
from experiments.common import mean_with_interval, share_with_interval
from mfn.structures.faces import Faces
from tests.helpers.faces import random_faces

HEAD = "file,age,gender,race,service_test\n"


def test_the_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(HEAD + "train/1.jpg,03-Sep,Female,Latino_Hispanic,TRUE\ntrain/2.jpg,more than 70,Male,White,FALSE\n")
    assert read_people(path) == {"1.jpg": Person("Latino Hispanic", "female", "3-9"), "2.jpg": Person("White", "male", "more than 70")}


def test_bad_tables_give_one_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with pytest.raises(FileNotFoundError, match="fairface_label_train"):
        read_people(path)
    path.write_text("name,years\na,3\n")
    with pytest.raises(ValueError, match="columns file, age, gender and race, got name, years"):
        read_people(path)
    path.write_text(HEAD + "train/1.jpg,old,Male,White,TRUE\n")
    with pytest.raises(ValueError, match="got 'old'"):
        read_people(path)


def test_each_group_gives_as_many_pictures() -> None:
    people = [Person("A" if i % 3 else "B", "male", "3-9") if i % 7 else None for i in range(900)]
    chosen = draw_pictures(people, 40, seed=1)
    groups = [people[i].group for i in chosen]
    assert groups.count("A") == groups.count("B") == 40 and (np.diff(chosen) > 0).all()
    held_out = [i for i in range(0, 900, 50) if people[i]]
    assert set(held_out) <= set(chosen.tolist())
    assert (chosen == draw_pictures(people, 40, seed=1)).all()


def test_intervals_hold_the_value() -> None:
    figures = share_with_interval(np.array([1.0] * 9 + [0.0]))
    low, high = figures["interval"]
    assert figures["value"] == 0.9 and low == pytest.approx(0.596, abs=1e-3) and high == pytest.approx(0.982, abs=1e-3)  # Wilson
    assert share_with_interval(np.ones(5))["interval"][1] == 1
    values = np.random.default_rng(0).normal(3, 1, 400)
    figures = mean_with_interval(values)
    width = figures["interval"][1] - figures["interval"][0]
    assert figures["value"] == round(float(values.mean()), 4) and width == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)


def test_the_face_in_the_middle() -> None:
    faces = random_faces(4)
    box = np.array([[0, 0, 20, 20], [30, 30, 70, 70], [20, 20, 80, 80], [49, 49, 52, 52]], np.float32)
    faces = Faces(**{name: getattr(faces, name) for name in Faces.__dataclass_fields__} | {"box": box})
    picture = np.zeros((100, 100, 3), np.uint8)
    assert (middle_face(faces, picture).box == box[2]).all()
    assert len(middle_face(faces[[0, 3]], picture)) == 0


def test_a_face_agrees_with_its_own_landmarks() -> None:
    face = random_faces(1)
    points = face.landmarks("mediapipe478")[0]
    nme, blink, smile, *flags = compare(face, points, face.expression[0])
    assert nme == pytest.approx(0, abs=1e-4) and blink == smile == 0 and len(flags) == 2
    moved = points + [10.0, 0, 0]
    size = np.sqrt(np.ptp(points[:, 0]) * np.ptp(points[:, 1]))
    assert compare(face, moved, face.expression[0])[0] == pytest.approx(1000 / size, rel=1e-4)


def test_yaws_stand_apart() -> None:
    yaw = np.array([-10.0, 30, 80, 5])
    found = np.array([1.0, 1, 0, 0])
    nme = np.array([2.0, 4, np.nan, np.nan])
    reading = Reading(found, nme, nme / 10, -nme / 10, np.full(4, np.nan), np.array([1.0, 0, np.nan, np.nan]))
    figures = by_yaw(reading, np.ones(4, bool), yaw)
    assert figures["upright"]["found"]["value"] == 0.5 and figures["upright"]["nme"]["value"] == 2
    assert figures["turned"]["smile"] == {"value": 0.4, "interval": [0.4, 0.4], "n": 1, "bias": -0.4}
    assert figures["profile"] == {"found": share_with_interval(found[2:3])} and "closed_wrong" not in figures["upright"]
