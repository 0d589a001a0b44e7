import pytest

from mfn.cli.studio.command import Studio, parse
from mfn.cli.studio.limits import Limits
from mfn.cli.studio.sessions import Session, Sessions
from tests.helpers.browser import open_browser


@pytest.fixture
def session(tmp_path) -> Session:
    """A session with the default limits."""
    return Sessions(tmp_path / "sessions", Limits()).get("somebody")


@pytest.fixture(scope="module")
def studio(spots):
    """A page on a free port whose network finds white spots. Files of closed pages are deleted at once; an upload may have 1 MB."""
    pytest.importorskip("gradio", reason="needs the extra `studio`")
    options = parse("studio", ["--weights", str(spots), "--min-face", "48", "--max-mb", "1", "--threads", "1"])
    with Studio(options) as running:
        running.sessions.grace_s = 0
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with a camera that shows a gray picture with a white spot."""
    yield from open_browser(tmp_path_factory.mktemp("camera"))
