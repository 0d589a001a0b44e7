import numpy as np
import pytest

from retarget.io.images import write_image


@pytest.fixture
def crowd(tmp_path, monkeypatch):
    """A working directory with a picture in which the spot network finds two faces, and one in which it finds none."""
    monkeypatch.chdir(tmp_path)
    picture = np.zeros((768, 1280, 3), np.uint8)
    picture[160:176, 320:336] = picture[480:496, 960:976] = 255
    write_image("crowd.png", picture)
    write_image("nobody.png", np.zeros((300, 400, 3), np.uint8))
    return tmp_path
