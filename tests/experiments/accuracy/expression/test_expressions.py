"""Eyelids, false faces and expressions that follow their labels."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.accuracy import false_faces
from experiments.accuracy.expression import eyelids, follow
from mfn.structures.faces import Faces
from mfn.training.packs.reader import Pack
from retarget.arkit import EXPRESSION_NAMES
from tests.helpers.experiments import by_number, numbered_pictures, one_face


def test_the_labels_name_rows_of_packs():
    labels = json.loads(eyelids.LABELS.read_text())
    assert labels and all(set(groups) == {"closed", "open"} for groups in labels.values())
    assert all(not set(groups["closed"]) & set(groups["open"]) for groups in labels.values())


def test_a_blink_is_read_where_the_face_is():
    face = one_face((10, 10, 50, 50))
    weights = np.zeros((1, 51), np.float32)
    weights[0, eyelids.BLINK] = [0.8, 0.6]
    network = by_number([face.replace(expression=weights)])
    picture = np.zeros((60, 60, 3), np.uint8)
    assert eyelids.blink(network, eyelids.Eyes(picture, face.box[0], True)) == pytest.approx(0.7)
    assert eyelids.blink(network, eyelids.Eyes(picture, np.array([200, 200, 240, 240.0]), True)) == 0


def test_figures_of_closed_and_open_eyes():
    figures = eyelids.figures_of(np.array([0.9, 0.8, 0.1, 0.2, 0.8]), np.array([True, True, False, False, False]))
    assert figures == {"auc": 0.9167, "closed_median": 0.85, "open_median": 0.2, "closed": 2, "open": 3}


def test_false_faces_are_counted_by_score():
    found = [one_face((0, 0, 9, 9), score=score) for score in (0.45, 0.62)]
    answers = [found[0][[]], found[0], Faces.concatenate(found)]
    figures = false_faces.count_false_faces(by_number(answers), numbered_pictures(3))
    assert figures == {"photos": 3, "with a false face, by score": {"0.4": 2, "0.5": 1, "0.55": 1, "0.6": 1, "0.65": 0}}


@pytest.mark.parametrize("size_px", [30.0, 60.0, 100.0])
def test_a_face_is_laid_in_the_middle_at_the_wanted_size(size_px):
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[60:120, 100:160] = 255
    pack = Pack("a", [picture], one_face((100, 60, 160, 120)), np.ones(1, bool), np.zeros((0, 4)), np.zeros(0, int))
    laid = follow.center_face(pack, 0, size_px)
    rows, columns = np.nonzero(laid[..., 0] > 200)
    assert len(rows) == pytest.approx(size_px**2, rel=0.1)
    np.testing.assert_allclose([rows.mean(), columns.mean()], follow.SIDE_PX / 2, atol=1.5)


def test_the_box_lies_where_the_face_is_laid():
    np.testing.assert_allclose(follow.centered_box(np.array([10, 20, 50, 110.0]), 60), [172, 147, 212, 237])


def test_half_strength_is_a_slope_of_half():
    rng = np.random.default_rng(0)
    target = np.zeros((40, 51))
    target[:, 3] = rng.uniform(0, 1, 40)
    figures = follow.compare(target, target / 2)
    assert figures["correlation_slope"] == {EXPRESSION_NAMES[3]: [1.0, 0.5]} and figures["mean_correlation"] == 1
    assert figures["error"] == pytest.approx(target.mean() / 2, abs=1e-4)
    assert follow.compare(np.zeros((4, 51)), np.zeros((4, 51)))["mean_correlation"] is None


def test_held_out_faces_are_measured_by_both_networks_and_misses_counted(monkeypatch):
    faces = Faces.concatenate([one_face((100, 60, 160, 120)).replace(image=np.array([i])) for i in (0, 1, 48, 96)])
    expression = np.random.default_rng(0).uniform(0, 1, (4, 51)).astype(np.float32)
    faces = faces.replace(expression=expression)
    pack = Pack("a", numbered_pictures(120, 200, 300), faces, np.ones(4, bool), np.zeros((0, 4)), np.zeros(0, int))
    middle = follow.SIDE_PX / 2
    near = one_face((middle - 30, middle - 30, middle + 30, middle + 30)).replace(expression=expression[:1])
    answers = {0: near, 48: near.replace(box=near.box + 100), 96: near.replace(expression=expression[3:])}  # the second is another face

    def single(picture, boxes):
        np.testing.assert_allclose(boxes, near.box)
        return near.replace(expression=1 - expression[[int(picture[192, 192, 0]) // 32]])

    monkeypatch.setattr(follow, "read_pack", lambda *place: pack)
    places = {"photos": [(Path("a"), Path("b"), "c")]}
    figures = follow.measure(places, follow.Networks(lambda picture: answers[int(picture[192, 192, 0])], single), [60.0])["60 px"]["photos"]
    assert (figures["faces"], figures["missed"], figures["large"]["error"]) == (2, 1, 0)
    assert figures["SFN"]["error"] == pytest.approx(float(np.abs(1 - 2 * expression[[0, 3]]).mean()), abs=1e-4)
