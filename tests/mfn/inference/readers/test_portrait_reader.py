"""The portrait reader: when it reads, and how its values count."""

import numpy as np
import pytest

from mfn.inference.model_zoo import SINGLE_FACE_WEIGHTS
from mfn.inference.readers.portrait_reader import COST, PortraitReader, share_crops
from mfn.inference.readers.reading_rules import PORTRAIT_NEVER, RULES
from mfn.structures.camera import rotation_from_euler
from mfn.structures.cells import FRONTAL_6D, PARAMETER_SIZE, SLICES
from retarget.arkit import EXPRESSION_NAMES
from tests.mfn.inference.readers.test_face_reader import PICTURE, faces_at


class Session:
    """A network that reads the weight 0.5 of every shape, and one roll in every crop."""

    def __init__(self, roll_deg: float = 0.0) -> None:
        self.roll_deg, self.seen = roll_deg, []

    def run(self, _: None, feed: dict) -> list:
        self.seen.append(feed["image"])
        raw = np.zeros((len(feed["image"]), PARAMETER_SIZE), np.float32)
        raw[:, :6] = rotation_from_euler(np.deg2rad([0, 0, self.roll_deg]))[:2].ravel() - np.array(FRONTAL_6D)
        return [raw]


@pytest.mark.parametrize(
    ("score", "count", "crops"),
    [
        ([0.9] * 300, None, (None, None)),  # a photo
        ([], 64, (32, 16)),
        ([0.9] * 16, 64, (32, 16)),
        ([0.9] * 17, 64, (64, 0)),
        ([0.9] * 4 + [0.2] * 4 + [0.06] * 50, 16, (8, 4)),  # doubtful candidates wait
        ([0.9] * 4 + [0.2] * 5, 16, (16, 0)),  # others do not
        ([0.9], 3, (3, 0)),
    ],
)
def test_the_time_of_a_frame_is_shared_where_few_faces_are_likely(score, count, crops):
    assert share_crops(np.array(score, np.float32), count) == crops
    if count is not None:
        assert crops[0] + COST * crops[1] == count


def test_values_are_averaged_by_the_share():
    faces = faces_at(0, 30).replace(refined=np.ones(2, np.bool_))
    alone = PortraitReader(Session()).refine(PICTURE, faces, rules=RULES._replace(portrait=1.0))
    half = PortraitReader(Session()).refine(PICTURE, faces, rules=RULES._replace(portrait=0.5, spread=1.2))
    never = np.array([name.startswith(PORTRAIT_NEVER) for name in EXPRESSION_NAMES])
    assert never.sum() == 4
    np.testing.assert_allclose(alone.expression, np.tile(np.where(never, 0.3, 0.5), (2, 1)))
    np.testing.assert_allclose(half.expression, np.tile(np.where(never, 0.3, 0.1 + 1.2 * (0.4 - 0.1)), (2, 1)), rtol=1e-5)
    np.testing.assert_allclose(half.center, (faces.center + alone.center) / 2, rtol=1e-5)
    np.testing.assert_allclose(half.scale, np.sqrt(faces.scale * alone.scale), rtol=1e-5)
    np.testing.assert_allclose(half.identity, 0.5, atol=1e-6)
    np.testing.assert_allclose(half.pitch_yaw_roll_deg, [[0, 0, 0], [0, 0, 30]], atol=0.01)
    assert (half.box == faces.box).all() and (half.score == faces.score).all()


def test_only_refined_faces_are_read_and_in_frames_the_first_of_them():
    faces = faces_at(*[0] * 5).replace(refined=np.array([True, False, True, True, True]))
    session = Session()
    found = PortraitReader(session).refine(PICTURE, faces, 2)
    assert [len(crops) for crops in session.seen] == [2]
    assert ((found.expression != faces.expression).any(1)).tolist() == [True, False, True, False, False]


def test_the_number_of_crops_is_fixed_in_frames_and_follows_from_the_faces_in_photos():
    session, faces = Session(), faces_at(0).replace(refined=np.ones(1, np.bool_))
    reader = PortraitReader(session)
    assert len(reader.refine(PICTURE, faces[[]], 4)) == 0
    reader.refine(PICTURE, faces, 4)
    reader.refine(PICTURE, faces)
    assert reader.refine(PICTURE, faces[[]]) == faces[[]]
    reader.refine(PICTURE, faces_at(*[0] * 20).replace(refined=np.ones(20, np.bool_)))
    assert [len(crops) for crops in session.seen] == [4, 4, 8, 20]


def test_a_face_that_is_read_as_turned_keeps_its_values():
    faces = faces_at(0, 0).replace(refined=np.ones(2, np.bool_))
    assert PortraitReader(Session(roll_deg=90)).refine(PICTURE, faces, 2) == faces


def test_it_reads_what_sfn_reads():
    """The network that ships, in a crop around an upright face, gives the values of `SingleFace`."""
    from mfn.inference.single_face import SingleFace

    faces = faces_at(0).replace(refined=np.ones(1, np.bool_))
    reader = PortraitReader.load(SINGLE_FACE_WEIGHTS, 1)
    raw = reader.network.session.run(None, {"image": np.zeros((1, 128, 128, 3), np.uint8)})[0]
    read = reader.refine(np.zeros_like(PICTURE), faces, 1, RULES._replace(portrait=1.0))
    first = SLICES["expression"].start - 5
    used = np.array([not name.startswith(PORTRAIT_NEVER) for name in EXPRESSION_NAMES])
    np.testing.assert_allclose(read.expression[0, used], 1 / (1 + np.exp(-raw[0, first : first + 51][used])), rtol=1e-4, atol=1e-6)
    plain = SingleFace.load(threads=1)(np.zeros_like(PICTURE), faces.box)
    np.testing.assert_allclose(plain.expression[:, used], read.expression[:, used], rtol=1e-4, atol=1e-6)


def test_other_networks_are_no_portrait_readers(spots):
    with pytest.raises(ValueError, match="expected a single-face network"):
        PortraitReader.load(spots)


def test_a_network_of_landmarks_is_no_portrait_reader(monkeypatch):
    monkeypatch.setattr("mfn.inference.readers.portrait_reader.check_single_face", lambda *_: "dense")
    with pytest.raises(ValueError, match="expected a network that predicts parameters, got one of kind dense"):
        PortraitReader.load(SINGLE_FACE_WEIGHTS, 1)
