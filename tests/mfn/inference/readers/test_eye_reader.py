"""The eye reader: whose eyes it reads, and where the values go."""

import numpy as np
import pytest

from mfn.inference.readers.eye_reader import EyeReader
from mfn.structures.camera import rotation_from_euler
from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.crop_geometry import EYE_COLUMNS, EYE_CROP_PX, EYE_SHAPES, cut_crops, eye_frames
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES

PICTURE = np.full((300, 400, 3), 90, np.uint8)
BLINKS = [EXPRESSION_NAMES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]


class Brightness:
    """A network that takes bright eyes for shut ones."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def run(self, _: None, feed: dict) -> list:
        assert len(feed["direction"]) == len(feed["image"]) and feed["image"].shape[1:] == (EYE_CROP_PX, EYE_CROP_PX, 3)
        self.seen.append(len(feed["image"]))
        raw = np.zeros((len(feed["image"]), len(EYE_SHAPES)), np.float32)
        middle = feed["image"][:, 12:20, 12:20].astype(np.float32).mean((1, 2, 3))
        raw[:, 0] = np.where(middle > 150, 8, -8)
        return [raw]


def faces_at(yaw_deg: float = 0.0, roll_deg: float = 0.0, count: int = 1, scale: float = 800.0) -> Faces:
    return Faces(
        image=np.zeros(count),
        box=np.tile([150, 80, 260, 220], (count, 1)),
        score=np.full(count, 0.9),
        rotation=np.tile(rotation_from_euler(np.deg2rad([0, yaw_deg, roll_deg])), (count, 1, 1)),
        scale=np.full(count, scale),
        center=np.tile([200, 150], (count, 1)),
        identity=np.zeros((count, IDENTITY_SIZE)),
        expression=np.full((count, 51), 0.3),
        track=np.full(count, -1),
        refined=np.ones(count, bool),
    )


def lit(faces: Faces, eye: int) -> np.ndarray:
    """The picture with a bright spot on the left (0) or right (1) eye of the first face."""
    matrix = eye_frames(faces, HeadModel.load()).matrix[eye]
    x, y = np.linalg.solve(matrix[:, :2], np.array([EYE_CROP_PX / 2] * 2) - matrix[:, 2]).astype(int)
    picture = PICTURE.copy()
    picture[y - 12 : y + 12, x - 12 : x + 12] = 255
    return picture


@pytest.mark.parametrize("roll", [0.0, 60.0, 180.0])
@pytest.mark.parametrize("eye", [0, 1])
def test_each_eye_is_read_by_itself(eye, roll):
    faces = faces_at(roll_deg=roll)
    found = EyeReader(Brightness()).refine(lit(faces, eye), faces)
    assert found.expression[0, BLINKS[eye]] > 0.99 and found.expression[0, BLINKS[1 - eye]] < 0.01
    others = np.setdiff1d(np.arange(51), EYE_COLUMNS)
    np.testing.assert_array_equal(found.expression[0, others], faces.expression[0, others])


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_squint_keeps_a_share_of_what_the_face_reader_read(share):
    found = EyeReader(Brightness()).refine(PICTURE, faces_at(), squint=share)  # the network reads 0.5 of all shapes but the lids
    squints, wide = (EYE_COLUMNS[:, EYE_SHAPES.index(shape)] for shape in ("eyeSquint", "eyeWide"))
    np.testing.assert_allclose(found.expression[0, squints], 0.5 + share * (0.3 - 0.5), rtol=1e-6)
    np.testing.assert_allclose(found.expression[0, wide], 0.5, rtol=1e-6)


def test_what_stays_of_lids_moves_both_lids_alike():
    """A wink stays a wink where the values before show two half-shut eyes; gaze to a side keeps a share for each eye by itself."""
    looks = [EXPRESSION_NAMES.index(f"eyeLook{name}") for name in ("InLeft", "InRight")]

    def read(lid: float, kept: float) -> np.ndarray:
        before = np.full((1, 51), 0.3, np.float32)
        before[0, BLINKS], before[0, looks[0]] = lid, 1.0
        faces = faces_at().replace(expression=before)
        return EyeReader(Brightness()).refine(lit(faces, 0), faces, kept=kept).expression[0]

    alone, same, less = read(0.5, 0.0), read(0.5, 0.2), read(0.3, 0.2)
    assert alone[BLINKS[0]] - alone[BLINKS[1]] > 0.99
    np.testing.assert_allclose(same[BLINKS], alone[BLINKS], atol=1e-3)  # the mean of 0 and 1 is that of 0.5 and 0.5
    np.testing.assert_allclose(less[BLINKS], np.clip(alone[BLINKS] - 0.2 * 0.2, 0, 1), atol=1e-3)
    np.testing.assert_allclose(same[looks], [0.5 + 0.2 * (1.0 - 0.5), 0.5 + 0.2 * (0.3 - 0.5)], atol=1e-6)


def test_the_right_eye_is_mirrored_and_lies_on_the_other_side():
    frames = eye_frames(faces_at(yaw_deg=20), HeadModel.load())
    left, right = np.linalg.det(frames.matrix[:, :, :2])
    assert left > 0 > right and left == pytest.approx(-right)
    assert frames.direction[0, 0] == pytest.approx(-frames.direction[1, 0]) and frames.direction[0, 2] < -0.9
    centers = [np.linalg.solve(m[:, :2], np.array([16, 16]) - m[:, 2]) for m in frames.matrix]
    assert centers[0][0] > centers[1][0], "the subject's left eye lies on the right of the picture"
    assert cut_crops(PICTURE, frames.matrix, EYE_CROP_PX).shape == (2, EYE_CROP_PX, EYE_CROP_PX, 3)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_eye_behind_the_nose_keeps_its_value(sign):
    faces = faces_at(yaw_deg=70.0 * sign)
    found = EyeReader(Brightness()).refine(PICTURE, faces)
    kept = np.flatnonzero(found.expression[0, BLINKS] == faces.expression[0, BLINKS])
    hidden = int(np.argmax(eye_frames(faces, HeadModel.load()).direction[:, 0]))
    assert kept.tolist() == [hidden]


def test_tiny_faces_and_faces_that_were_not_read_keep_their_values():
    tiny = faces_at(scale=60.0)
    assert EyeReader(Brightness()).refine(PICTURE, tiny) == tiny
    unread = faces_at().replace(refined=np.zeros(1, bool))
    session = Brightness()
    assert EyeReader(session).refine(PICTURE, unread) == unread and not session.seen


def test_a_fixed_number_of_eyes_is_read():
    session = Brightness()
    reader = EyeReader(session)
    found = reader.refine(PICTURE, faces_at(count=5), 3)
    assert session.seen == [6] and (found.expression[:3, BLINKS[0]] < 0.01).all() and (found.expression[3:, BLINKS[0]] > 0.2).all()
    assert len(reader.refine(PICTURE, faces_at(count=0), 3)) == 0 and session.seen == [6, 6]
    reader.refine(PICTURE, faces_at(count=100))
    assert session.seen[2:] == [128, 72]


def test_other_networks_are_no_eye_readers(spots):
    with pytest.raises(ValueError, match=r"spots.onnx: expected an eye reader, `image` uint8 \(E, 32, 32, 3\), `direction`"):
        EyeReader.load(spots)


@pytest.mark.parametrize(("faces", "batch", "crops"), [(1, 4, 4), (16, 64, 4), (17, 64, 2), (32, 64, 2), (33, 64, 1), (2, 3, 1)])
def test_few_eyes_are_read_more_often_in_the_same_batch(faces, batch, crops):
    """The network calls an eye shut in some of its crops: the mean counts."""

    class Some(Brightness):
        def run(self, _: None, feed: dict) -> list:
            self.seen.append(len(feed["image"]))
            raw = np.full((len(feed["image"]), len(EYE_SHAPES)), -8, np.float32)
            raw[: 2 * faces] = 8  # the first crop of each eye
            return [raw]

    network = Some()
    found = EyeReader(network).refine(PICTURE, faces_at(count=faces), batch)
    assert network.seen == [2 * batch], "the time does not depend on the number of faces"
    np.testing.assert_allclose(found.expression[:, BLINKS], 1 / crops, atol=1e-3)


def test_the_crops_of_an_eye_differ():
    class Kept(Brightness):
        def run(self, _: None, feed: dict) -> list:
            self.crops = feed["image"]
            return super().run(_, feed)

    network, picture = Kept(), np.random.default_rng(0).integers(0, 256, PICTURE.shape).astype(np.uint8)
    EyeReader(network).refine(picture, faces_at(), 4)
    left = network.crops.reshape(4, 2, -1)[:, 0]
    assert len({crop.tobytes() for crop in left}) == 4
