from pathlib import Path

import pytest

from mfn.animation.options import Hooks
from mfn.cli.studio.sessions import Session
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
