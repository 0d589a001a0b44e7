"""Batches of scenes."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.data.batch import Batch, collate  # noqa: E402
from tests.helpers.training import two_face_scene  # noqa: E402

MODEL = HeadModel.load()

def test_collate_counts_pictures():
    batch = collate([two_face_scene(0), two_face_scene(1)])
    assert isinstance(batch, Batch) and batch.image.tolist() == [0, 0, 1, 1] and batch.picture.shape == (2, 3, 128, 128)
