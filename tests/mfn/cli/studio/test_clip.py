from pathlib import Path
from types import SimpleNamespace

import pytest

from mfn.animation.options import Hooks
from mfn.cli.studio.limits import Limits
from mfn.cli.studio.sessions import Session, Sessions
from mfn.inference.predictor import Predictor

pytest.importorskip("gradio", reason="needs the extra `studio`")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ((0.3, 0.2), "--end 0.2: expected a time after --start 0.3"),
        ((0.3, 0.3), "--end 0.3: expected a time after --start 0.3"),
        ((9.0, None), "--start 9: expected a time within the clip"),
    ],
)
def test_times_that_the_clip_does_not_have(session: Session, clip, spots, part, message):
    from mfn.cli.studio.clip import find_people

    with pytest.raises(ValueError, match=f"^{message}"):
        find_people(session, Predictor.load(spots), Path(clip), part, Hooks())


class Control:
    def __init__(self, elem_id: str) -> None:
        self.elem_id = elem_id


def chosen(search: str, people: int) -> dict[Control, object]:
    """What the browser sends for the people of a search: everybody becomes a lion."""
    values = {"clip-search": search, "clip-calibrate": False, "clip-likeness": 0}
    for number in range(people):
        values |= {f"clip-keep-{number}": True, f"clip-as-{number}": "lion"}
    return {Control(name): value for name, value in values.items()}


@pytest.mark.parametrize("people", [2, 3])
def test_choices_for_the_people_of_an_earlier_search_are_refused(tmp_path, monkeypatch, people):
    """The button was pressed while another clip was on its way."""
    import mfn.cli.studio.clip as module

    sessions = Sessions(tmp_path / "others", Limits())
    session = sessions.get("user")
    persons = [SimpleNamespace(number=number) for number in range(people)]
    session.clip = module.FoundClip(7, Path("new.mp4"), None, 0, None, None, persons, {})
    made = []
    monkeypatch.setattr(module, "write_clip", lambda session, found, choice, *_: made.append(choice) or [Path("a.glb"), Path("a.mp4")])
    tab, request = module.ClipTab(sessions, None), SimpleNamespace(session_hash="user")
    with pytest.raises(ValueError, match=r"^new.mp4: expected choices for its people, got those of an earlier search"):
        tab.on_write(chosen("6", 2), request)
    tab.on_write(chosen("7", people), request)
    assert made == [dict.fromkeys(range(people), "lion")]
