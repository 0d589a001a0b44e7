"""Average precision and recall, against hand-made cases."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")
from mfn.training.metrics.box_figures import BoxFigures, match_boxes  # noqa: E402

NONE = np.zeros((0, 4))
FIRST, SECOND, FAR = [0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]


def measured(*pictures: tuple) -> dict[str, float]:
    figures = BoxFigures(score=0.5)
    for *boxes, score in pictures:
        figures.update(*(np.array(part, float).reshape(-1, 4) for part in boxes), np.array(score, float))
    return {name: float(value) for name, value in figures.compute().items()}


def test_all_found_is_a_hundred_percent():
    assert measured(([FIRST, SECOND], [], [SECOND, FIRST], [0.9, 0.8])) == {"box_ap50": 100.0, "box_recall50": 100.0}


def test_a_false_face_costs_by_its_score():
    late = measured(([FIRST, SECOND], [], [FIRST, SECOND, FAR], [0.9, 0.8, 0.7]))
    early = measured(([FIRST, SECOND], [], [FIRST, SECOND, FAR], [0.9, 0.8, 0.95]))
    assert late["box_ap50"] == 100 and early["box_ap50"] == pytest.approx(100 * 2 / 3, abs=0.1)


def test_missed_faces_and_low_scores_lower_the_recall():
    found = measured(([FIRST, SECOND], [], [FIRST], [0.9]), ([FIRST, SECOND], [], [FIRST, SECOND], [0.9, 0.2]))
    assert found["box_recall50"] == 50 and found["box_ap50"] == pytest.approx(75, abs=1)


def test_detections_in_ignore_regions_do_not_count():
    assert measured(([FIRST], [FAR], [FAR, FIRST], [0.99, 0.9]))["box_ap50"] == 100
    assert measured(([FIRST], [], [FAR, FIRST], [0.99, 0.9]))["box_ap50"] == 50


def test_a_face_is_matched_once():
    hit = match_boxes(np.array([FIRST], float), np.array([FIRST, FIRST], float))
    assert hit.tolist() == [True, False] and match_boxes(NONE, np.array([FIRST])).tolist() == [False]


def test_nothing_there():
    assert measured() == {} and measured(([], [], [FIRST], [0.9])) == {}
    assert measured(([FIRST], [], [], [])) == {"box_ap50": 0.0, "box_recall50": 0.0}
