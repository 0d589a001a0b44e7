"""Errors of ONNX Runtime become one line, whichever network fails."""

import numpy as np
import pytest

from mfn.inference.predictor import Predictor
from mfn.inference.readers.eye_reader import EyeReader
from mfn.inference.readers.face_reader import Reader
from mfn.inference.sessions.onnx_session import run
from mfn.inference.single_face import SingleFace
from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model

PICTURE = np.zeros((200, 200, 3), np.uint8)


class Broken:
    """A session that fails as ONNX Runtime does: with an exception of its own type and a message of several lines."""

    class Fail(Exception):
        pass

    def run(self, _: list | None, feed: dict) -> list:
        raise self.Fail("bfc_arena.cc\nFailed to allocate memory")


def face() -> Faces:
    model = default_head_model()
    return Faces(
        image=[0], box=[[50, 50, 150, 150]], score=[0.9], rotation=[np.diag([1.0, -1, -1])], scale=[600], center=[[100, 90]],
        identity=np.zeros((1, model.identity_size)), expression=np.zeros((1, 51)), track=[-1], refined=[True],
    )  # fmt: skip


def test_a_network_that_fails_is_one_line():
    with pytest.raises(ValueError, match=r"the network failed on 2 x 9 x 8 px; .* \(…bfc_arena.cc Failed to allocate memory\)"):
        run(Broken(), {"image": np.zeros((2, 8, 9, 3), np.uint8)})


@pytest.mark.parametrize(
    "read",
    [
        lambda: Reader(Broken(), 64).read(PICTURE, face()),
        lambda: EyeReader(Broken()).refine(PICTURE, face()),
        lambda: SingleFace(Broken())(PICTURE, face().box),
    ],
    ids=["face reader", "eye reader", "single face"],
)
def test_each_reader_reports_a_network_that_fails(read):
    with pytest.raises(ValueError, match=r"the network failed on [18] x"):
        read()


def test_the_multi_face_network_reports_that_it_fails(spots):
    predictor = Predictor.load(spots, min_face_px=48)
    predictor.finder.session = Broken()
    with pytest.raises(ValueError, match="the network failed on 1"):
        predictor(PICTURE)
