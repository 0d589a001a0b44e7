"""What the tests of batches that are composed on the device share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from mfn.training.packs.sources import PackSources

COUNT = 56


@pytest.fixture
def sources(monkeypatch, tmp_path) -> PackSources:
    """A pack of colored pictures with one labeled face each, and white photos without faces."""
    pytest.importorskip("torch")
    from mfn.training.packs.reader import Pack
    from mfn.training.packs.sources import PackSources, TrainingPictures
    from tests.helpers.training import MODEL, random_faces

    count = COUNT
    faces = random_faces(count)
    faces = faces.replace(box=MODEL.boxes(faces))
    pictures = [np.full((200, 220, 3), 40 + number % 100, np.uint8) for number in range(count)]
    pack = Pack("p", pictures, faces, np.ones(count, bool), np.zeros((0, 4), np.float32), np.zeros(0, np.int32))
    photos = [np.full((60, 60, 3), 255, np.uint8)] * 2
    monkeypatch.setattr(PackSources, "read", lambda self: TrainingPictures([pack], [1.0], photos))
    return PackSources(tmp_path, tmp_path, {"p": 1.0})
