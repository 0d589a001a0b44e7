import argparse
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mfn.cli.studio import models
from mfn.cli.studio.limits import Limits
from mfn.cli.studio.models import Models
from mfn.cli.studio.sessions import Sessions
from mfn.structures.faces import Faces
from retarget.io.images import write_image


@pytest.fixture
def loaded(monkeypatch) -> list[str]:
    """Return the --weights of all networks that are loaded. They find no face."""
    weights: list[str] = []

    def load(options: argparse.Namespace) -> object:
        weights.append(options.weights)
        return lambda picture, video, memory: Faces.empty()

    monkeypatch.setattr(models, "load_predictor", load)
    return weights


def of(weights: object) -> Models:
    return Models(argparse.Namespace(weights=str(weights)))


def test_free_offers_nothing_else(loaded):
    free = of("free")
    assert free.free and free.names() == ["free"] and free.live == "free"
    free.get("free")
    for name in ("small", "large"):
        with pytest.raises(ValueError, match=r"expected one of the networks free$"):
            free.get(name)
    assert loaded == ["free"]


def test_the_others_offer_all_and_a_fast_one_for_live(spots):
    assert of("large").names() == ["large", "small", "free"] and of("large").live == "small"
    assert of("small").names() == ["small", "large", "free"] and of("small").live == "small"
    own = of(spots)
    assert own.names() == ["spots.onnx", "small", "large", "free"] and own.live == "spots.onnx" and not own.free


@pytest.mark.parametrize(("weights", "expected"), [("free", "free"), ("large", "small")])
def test_the_tab_live_uses_the_network_that_may_be_used(weights, expected, loaded, tmp_path):
    pytest.importorskip("gradio", reason="needs the extra `studio`")
    from mfn.cli.studio.live import FACES, LiveTab

    write_image(tmp_path / "frame.png", np.zeros((48, 64, 3), np.uint8))
    tab = LiveTab(Sessions(tmp_path / "sessions", Limits()), of(weights))
    shown, _ = tab.on_frame({"path": str(tmp_path / "frame.png")}, FACES, SimpleNamespace(session_hash="a"))
    assert loaded == [expected]
    assert tab.sessions.get("a").folder in Path(shown).parents, "a file of the session, which is deleted with it"
