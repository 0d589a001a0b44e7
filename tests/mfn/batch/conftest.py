import numpy as np
import pytest

from retarget.io.images import write_image


def spotted(spots: int) -> np.ndarray:
    """Return a picture (96, 160, 3) with white spots of the size that the spot network detects at its own scale."""
    picture = np.zeros((96, 160, 3), np.uint8)
    for i in range(spots):
        picture[16 + 32 * i : 24 + 32 * i, 32:40] = 255
    return picture


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A working directory with the folder photos: four pictures of 0, 1, 2 and 1 faces in two folders, a text and a damaged picture."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name, count in {"a.png": 0, "b.png": 1, "more/c.png": 2, "more/d.png": 1}.items():
        write_image(tmp_path / "photos" / name, spotted(count))
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    (tmp_path / "photos" / "more" / "bad.jpg").write_bytes(b"\xff\xd8\xff cut")
    return tmp_path
