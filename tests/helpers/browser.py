"""A real browser for tests: the Chromium of the system, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retarget.io.images import encode_jpeg

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def open_browser(folder: Path) -> Iterator[Any]:
    """Open a browser with a camera and without WebGL, which is slow where there is no GPU.

    Args:
        folder: Where the picture of the camera is written: gray with a white spot in the middle.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs Chromium: apt install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    picture = np.full((384, 640, 3), 60, np.uint8)
    picture[180:220, 300:340] = 255
    camera = folder / "camera.mjpeg"
    camera.write_bytes(encode_jpeg(picture) * 4)
    flags = ["--no-sandbox", "--disable-3d-apis", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=[*flags, f"--use-file-for-fake-video-capture={camera}"])
        yield browser
        browser.close()
