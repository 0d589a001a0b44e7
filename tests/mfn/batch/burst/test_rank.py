import json

import numpy as np
import pytest

from mfn.batch.attributes.thresholds import Threshold, Thresholds
from mfn.batch.burst.rank import PENALTIES, Shot, rank_shots
from mfn.batch.burst.report import advice, ranking_json, ranking_table, report_page
from tests.mfn.batch.burst.test_people import shot as faces_of

THRESHOLDS = Thresholds(dict.fromkeys(("eyes_closed", "smile", "looking_at_camera"), Threshold(0.5, 10, 90, 0.8)), 0.2)
FINE = {"eyes_closed": False, "smile": True, "looking_at_camera": True, "sharpness": 0.5, "visible": 1.0}


def make_shot(name: str, people=(0, 1, 2, 3), **changes: dict[int, object]) -> Shot:
    """Return a shot of some of four people without problems; `changes` are columns with values for some rows."""
    columns = {column: [changes.get(column, {}).get(i, value) for i in range(len(people))] for column, value in FINE.items()}
    return Shot(name, faces_of(*people, seed=len(name)), columns)


def problems(ranking, name: str) -> list[tuple[str, ...]]:
    return next([p.problems for p in ranking.people[s]] for s, shot in enumerate(ranking.shots) if shot.name == name)


@pytest.fixture
def ranking():
    return rank_shots(
        [
            make_shot("blink.jpg", eyes_closed={1: True, 2: True}),
            make_shot("best.jpg", eyes_closed={3: True}),
            make_shot("missing.jpg", people=(0, 1), smile={0: False}, looking_at_camera={1: False}),
            make_shot("blurred.jpg", sharpness=dict.fromkeys(range(4), 0.1), visible={0: 0.5}),
        ],
        THRESHOLDS,
    )


def test_shots_are_ranked_by_what_is_wrong(ranking):
    assert [ranking.shots[s].name for s in ranking.order] == ["best.jpg", "blink.jpg", "missing.jpg", "blurred.jpg"]
    assert problems(ranking, "best.jpg") == [(), (), (), ("eyes closed",)]
    assert problems(ranking, "missing.jpg") == [("no smile",), ("looks away",), ("missing",), ("missing",)]
    assert problems(ranking, "blurred.jpg")[0] == ("hidden", "blurred")
    assert ranking.penalty[ranking.order[2]] == pytest.approx(2 * PENALTIES["missing"] + PENALTIES["no smile"] + PENALTIES["looks away"])
    assert ranking.count(0, "eyes closed") == 2 and ranking.better_shots(3, "eyes closed") == ["blink.jpg", "blurred.jpg"]


def test_a_blurred_shot_is_no_better_than_one_without_a_smile():
    shots = [make_shot("serious", smile={0: False}), make_shot("blurred", sharpness=dict.fromkeys(range(4), 0.1))]
    ranking = rank_shots(shots, THRESHOLDS)
    assert ranking.people[0][0].problems == ("no smile",) and ranking.better_shots(0, "no smile") == []


def test_unknown_is_not_held_against_a_shot():
    unknown = {column: dict.fromkeys(range(4)) for column in ("eyes_closed", "smile", "looking_at_camera")}
    assert rank_shots([make_shot("a", **unknown), make_shot("b")], THRESHOLDS).penalty == [0, 0]


def test_unknown_is_not_called_fine():
    away = make_shot("a", looking_at_camera={1: None}, eyes_closed={1: None}, sharpness=dict.fromkeys(range(4), 0.6))
    ranking = rank_shots([away, make_shot("b")], THRESHOLDS)
    assert ranking.people[0][1].unknown == ("eyes", "gaze") and ranking.people[0][0].unknown == ()
    said = advice(ranking)[1:]
    assert said == ["Nothing wrong was found in it.", "Too small, turned away or hidden, so look yourself (numbers from the left): 2."]
    assert json.loads(ranking_json(ranking))["shots"][0]["people"][1]["unknown"] == ["eyes", "gaze"]
    page = report_page(ranking, lambda s: np.zeros((240, 900, 3), np.uint8))
    assert page.count("<small>fine</small>") == 7 and page.count("<small>unknown: eyes, gaze</small>") == 1
    assert page.count('class="unknown"') == 1


def test_somebody_who_never_smiles_does_not_tell_shots_apart():
    serious = {"smile": {0: False}}
    assert rank_shots([make_shot("a", **serious), make_shot("b", **serious)], THRESHOLDS).penalty == [0, 0]


def test_a_smile_that_is_unknown_is_no_smile():
    shots = [make_shot("a", smile={0: False}), make_shot("b", smile={0: None}), make_shot("c", smile={0: False})]
    ranking = rank_shots(shots, THRESHOLDS)
    assert ranking.penalty == [0, 0, 0] and ranking.people[1][0].unknown == ("smile",)
    assert rank_shots([*shots, make_shot("d")], THRESHOLDS).penalty == [PENALTIES["no smile"], 0, PENALTIES["no smile"], 0]


def test_passers_by_do_not_count():
    ranking = rank_shots([make_shot("a", people=(0, 1, 2)), *(make_shot(n, people=(0, 1)) for n in "bcd")], THRESHOLDS)
    assert len(ranking.people[0]) == 2 and ranking.penalty == [0, 0, 0, 0]


def test_equal_shots_are_ranked_by_sharpness_and_no_faces_are_no_error():
    sharp = make_shot("sharp", sharpness=dict.fromkeys(range(4), 0.6))
    assert rank_shots([make_shot("a"), sharp], THRESHOLDS).order == [1, 0]
    empty = rank_shots([make_shot("a", people=()), make_shot("b", people=())], THRESHOLDS)
    assert empty.people == [[], []] and "No person is in most of the shots." in advice(empty)
    assert "<table" in report_page(empty, lambda s: np.zeros((8, 8, 3), np.uint8)) and "penalty" in ranking_table(empty)


def test_text_and_json(ranking):
    lines = ranking_table(ranking).splitlines()
    assert lines[1].split() == ["1", "best.jpg", "4", "0", "1", "0", "0", "0", "0", "1.0"]
    assert advice(ranking) == [
        "The best shot is best.jpg.",
        "Person 4 from the left: eyes closed. Better: blink.jpg, blurred.jpg.",
    ]
    shots = json.loads(ranking_json(ranking))["shots"]
    assert [s["rank"] for s in shots] == [1, 2, 3, 4]
    assert shots[2]["people"][3] == {"person": 4, "face": None, "problems": ["missing"], "unknown": []}


def test_the_page_is_one_file_with_a_crop_for_each_face(ranking):
    page = report_page(ranking, lambda s: np.full((240, 900, 3), 90, np.uint8))
    assert page.count("data:image/jpeg;base64,") == 14 and page.count("not found") == 2
    assert "http" not in page and 'src="data' in page and page.index("best.jpg") < page.index("blink.jpg")


def test_names_are_escaped():
    page = report_page(rank_shots([make_shot("<b>.jpg"), make_shot("x")], THRESHOLDS), lambda s: np.zeros((9, 9, 3), np.uint8))
    assert "<b>" not in page and "&lt;b&gt;.jpg" in page
