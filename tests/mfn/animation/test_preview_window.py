"""The window: what it shows, how it ends, and where there is no display."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mfn.animation import preview_window
from mfn.animation.bridge import faces_to_take
from mfn.animation.preview_window import PreviewWindow, check_display, draw_corner_text
from mfn.structures.faces import Faces


@pytest.fixture
def screen(monkeypatch):
    """A stand-in for OpenCV's windows: `shown` lists the images, `key` is the key that is pressed."""
    state = SimpleNamespace(shown=[], key=-1, visible=1.0)
    fake = SimpleNamespace(**{name: getattr(cv2, name) for name in dir(cv2) if not name.startswith("__")})
    fake.imshow = lambda title, picture: state.shown.append(picture)
    fake.waitKey = lambda ms: state.key
    fake.getWindowProperty = lambda title, what: state.visible
    fake.destroyAllWindows = lambda: None
    monkeypatch.setattr(preview_window, "check_display", lambda: None)
    monkeypatch.setitem(__import__("sys").modules, "cv2", fake)
    return state


def show(window: PreviewWindow, size=(200, 100)) -> bool:
    nobody = Faces.empty(3)
    return window.show(np.zeros((size[1], size[0], 3), np.uint8), nobody, faces_to_take(nobody, size), 500.0, "text")


def test_q_and_closing_end_the_session(screen, head_model):
    window = PreviewWindow("x")
    assert show(window)
    screen.key = ord("q")
    assert not show(window)
    screen.key, screen.visible = -1, 0.0
    assert not show(window)
    window.close()


def test_large_images_are_shrunk(screen, head_model):
    show(PreviewWindow("x"), (1920, 1080))
    assert screen.shown[0].shape == (540, 960, 3)


def test_a_background_replaces_the_picture_and_the_text(screen, head_model):
    show(PreviewWindow("x", background=(1, 2, 3)))
    assert (screen.shown[0] == (3, 2, 1)).all()  # OpenCV takes BGR
    show(PreviewWindow("x"))
    assert screen.shown[1].max() > 200


def test_characters_need_no_head_model(monkeypatch, screen):
    monkeypatch.setattr(preview_window, "default_head_model", lambda: pytest.fail("not needed"))
    PreviewWindow("x", rigs=[object()]).close()  # type: ignore[list-item]


def test_the_corner_text_is_readable_on_white():
    image = np.full((100, 300, 3), 255, np.uint8)
    draw_corner_text(image, "latency 30 ms")
    assert image[:18, :60].min() < 100 and image[:18, :60].max() == 255 and image[60:].min() == 255


def test_displays(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(ValueError, match=":4711 does not answer"):
        check_display()
    monkeypatch.delenv("DISPLAY")
    with pytest.raises(ValueError, match="DISPLAY is not set"):
        check_display()
    monkeypatch.setenv("DISPLAY", "far.away:0")
    assert check_display() is None
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.delenv("DISPLAY")
    assert check_display() is None
