"""The face reader: which values it replaces, how many crops it runs, and faces that are turned in their crops."""

import numpy as np
import pytest

from mfn.inference.readers.face_reader import Reader, choose_to_refine, confirmed_score, mix
from mfn.inference.readers.reading_rules import FREE_RULES, RULES
from mfn.structures.camera import rotation_from_euler
from mfn.structures.cells import CELL_SIZE, FRONTAL_6D, IDENTITY_SIZE, SLICES
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES

PICTURE = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)


class Session:
    """A network that reads the same pose, given as a roll for each call, and the same score and box in every crop."""

    def __init__(self, *roll_deg: float, logit: float = 0.0, box: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)) -> None:
        self.roll_deg, self.place, self.seen = list(roll_deg) or [0.0], [logit, *box], []

    def run(self, _: None, feed: dict) -> list:
        roll = self.roll_deg[min(len(self.seen), len(self.roll_deg) - 1)]
        self.seen.append(feed["image"])
        raw = np.zeros((len(feed["image"]), CELL_SIZE), np.float32)
        raw[:, :5] = self.place
        rows = rotation_from_euler(np.deg2rad([0, 0, roll]))[:2].ravel() - np.array(FRONTAL_6D)
        raw[:, SLICES["rotation"]] = rows
        return [raw]


def faces_at(*roll_deg: float) -> Faces:
    count = len(roll_deg)
    return Faces(
        image=np.zeros(count),
        box=np.tile([150, 100, 210, 180], (count, 1)),
        score=np.linspace(0.9, 0.6, count),
        rotation=rotation_from_euler(np.deg2rad([[0, 0, roll] for roll in roll_deg])),
        scale=np.full(count, 400),
        center=np.tile([180, 130], (count, 1)),
        identity=np.ones((count, IDENTITY_SIZE)),
        expression=np.full((count, 51), 0.3),
        track=np.arange(count),
    )


def test_the_pose_is_read_upright_and_turned_back():
    rolls = [0.0, 30.0, 90.0, 179.0, -120.0]
    found = Reader(Session(), 64).read(PICTURE, faces_at(*rolls)).faces
    np.testing.assert_allclose(found.pitch_yaw_roll_deg, [[0, 0, roll] for roll in rolls], atol=0.01)
    assert (np.abs(found.center - [180, 130]) < 60).all() and found.track.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(found.scale, found.scale[0], rtol=0.3)
    np.testing.assert_allclose(found.expression, 0.5)


def test_the_reader_counts_more_for_small_faces_and_alone_for_eyes():
    faces = faces_at(0, 0, 0)
    heights = np.array([20, 77.46, 500], np.float32)
    read = Reader(Session(), 64).read(PICTURE, faces).faces
    found = Reader(Session(), 64).refine(PICTURE, faces, heights)
    assert found.refined.all()
    jaw, blink = EXPRESSION_NAMES.index("jawOpen"), EXPRESSION_NAMES.index("eyeBlinkLeft")
    expression_shares = RULES.expression.at(heights)
    assert expression_shares[0] == 1 and expression_shares[2] == pytest.approx(RULES.expression.tall) and RULES.expression.tall < 1
    wanted = faces.expression[:, jaw] + expression_shares * (read.expression[:, jaw] - faces.expression[:, jaw])
    np.testing.assert_allclose(found.expression[:, jaw], wanted, rtol=1e-3)
    assert np.unique(wanted).size == 3
    np.testing.assert_allclose(found.expression[:, blink], 0.5, rtol=1e-5)
    np.testing.assert_allclose(found.identity[:, 0], 0.5 * (faces.identity[:, 0] + read.identity[:, 0]), rtol=1e-5)
    middle = (RULES.pose.small + RULES.pose.tall) / 2  # 77.46 px lie halfway between 50 and 120 px in steps of equal ratio
    shares = np.array([RULES.pose.small, middle, RULES.pose.tall])
    np.testing.assert_allclose(found.center, faces.center + shares[:, None] * (read.center - faces.center), rtol=1e-3)
    np.testing.assert_allclose(np.log(found.scale), np.log(faces.scale) + shares * np.log(read.scale / faces.scale), rtol=1e-3)


def test_rotations_are_averaged_unless_the_reader_corrects_the_roll():
    faces = faces_at(0, 0)
    read = faces.replace(rotation=rotation_from_euler(np.deg2rad([[0, 20, 0], [0, 0, 170]])))
    mixed = mix(faces, read, np.full(2, 1000, np.float32))
    assert mixed.pitch_yaw_roll_deg[0, 1] == pytest.approx(20 * RULES.pose.tall, abs=0.3)
    assert mixed.pitch_yaw_roll_deg[1, 2] == pytest.approx(170, abs=0.1)
    np.testing.assert_allclose(mixed.rotation @ mixed.rotation.swapaxes(1, 2), np.tile(np.eye(3), (2, 1, 1)), atol=1e-5)


def test_the_free_reader_alone_says_what_it_read():
    found = faces_at(0)
    turned = rotation_from_euler(np.deg2rad([[0, 20, 0]]))
    read = found.replace(rotation=turned, identity=np.full((1, IDENTITY_SIZE), 0.7), expression=np.full((1, 51), 0.6))
    mixed = mix(found, read, np.array([200.0]), FREE_RULES)
    assert mixed.pitch_yaw_roll_deg[0, 1] == pytest.approx(20, abs=0.3)
    assert mixed.identity == pytest.approx(read.identity) and mixed.expression == pytest.approx(read.expression)


def test_crops_are_padded_to_a_fixed_number():
    session = Session()
    reader = Reader(session, 32)
    assert len(reader.refine(PICTURE, faces_at(0, 0), np.ones(2), 5)) == 2
    assert len(reader.refine(PICTURE, Faces.empty(IDENTITY_SIZE), np.zeros(0), 5)) == 0
    assert [crops.shape for crops in session.seen] == [(5, 32, 32, 3)] * 2
    assert len(reader.refine(PICTURE, faces_at(*[0.0] * 130), np.ones(130))) == 130
    assert [len(crops) for crops in session.seen[2:]] == [64, 64, 2] * 2, "the crops, then their mirror images"
    assert len(reader.refine(PICTURE, Faces.empty(IDENTITY_SIZE), np.zeros(0))) == 0 and len(session.seen) == 8


def test_a_picture_is_also_read_mirrored():
    session = Session(30, -10)  # the second roll is that of the mirror image
    found = Reader(session, 64).read(PICTURE, faces_at(20)).faces
    assert found.pitch_yaw_roll_deg[0, 2] == pytest.approx(40, abs=0.5), "20 of the crop and the mean of 30 and 10"
    np.testing.assert_array_equal(session.seen[1], session.seen[0][:, :, ::-1])
    in_time = Reader(Session(30, -10), 64).read(PICTURE, faces_at(20), 1).faces
    assert in_time.pitch_yaw_roll_deg[0, 2] == pytest.approx(50, abs=0.1)


def test_only_the_surest_faces_are_read():
    faces = faces_at(*[0.0] * 7)
    found = Reader(Session(), 32).refine(PICTURE, faces, np.ones(7), 3)
    assert found.refined.tolist() == [True] * 3 + [False] * 4 and found.track.tolist() == faces.track.tolist()
    assert found[3:] == faces[3:] and (found.expression[:3] == 0.5).all()


def test_a_face_that_is_turned_in_its_crop_is_read_again():
    session = Session(80, -80, 0, 0)
    found = Reader(session, 64).read(PICTURE, faces_at(20)).faces
    assert len(session.seen) == 4 and found.pitch_yaw_roll_deg[0, 2] == pytest.approx(100, abs=0.1)
    contradicting = Session(80, -80, 90, -90)  # the second reading does not confirm the first
    found = Reader(contradicting, 64).read(PICTURE, faces_at(20)).faces
    assert found.pitch_yaw_roll_deg[0, 2] == pytest.approx(20, abs=0.1) and len(contradicting.seen) == 4
    assert len(Reader(session, 64).read(PICTURE, faces_at(0)[[]]).logit) == 0
    in_time = Session(80, 0)  # a fixed number of crops is read once
    found = Reader(in_time, 64).read(PICTURE, faces_at(20), 4).faces
    assert found.pitch_yaw_roll_deg[0, 2] == pytest.approx(20, abs=0.1) and [len(crops) for crops in in_time.seen] == [4]


def test_the_surest_then_the_largest_faces_are_chosen():
    faces = faces_at(0, 0, 0, 0).replace(
        score=np.array([0.91, 0.88, 0.7, 0.93]), box=np.array([[0, 0, 9, h] for h in (20, 60, 90, 30)])
    )
    assert choose_to_refine(faces, 1).tolist() == [1] and choose_to_refine(faces, 3).tolist() == [0, 1, 3]
    assert choose_to_refine(faces, 9).tolist() == [0, 1, 2, 3] and choose_to_refine(faces[[]], 2).tolist() == []


def test_both_networks_decide_how_sure_a_face_is():
    faces = faces_at(0, 0, 0)
    for logit in (-4.0, 0.0, 4.0):
        found = Reader(Session(logit=logit), 64).refine(PICTURE, faces, np.ones(3), 2)
        dense = np.log(faces.score[:2] / (1 - faces.score[:2]))
        expected = 1 / (1 + np.exp(-(RULES.score.dense * dense + RULES.score.crop * logit + RULES.score.bias)))
        np.testing.assert_allclose(found.score[:2], expected, rtol=1e-4)
        assert found.score[2] == faces.score[2], "a face that was not read keeps its score"
    assert confirmed_score(np.array([0.0, 1.0], np.float32), np.zeros(2, np.float32)).tolist() == pytest.approx([0, 1], abs=1e-3)


@pytest.mark.parametrize("roll", [0.0, 90.0])
def test_the_box_is_placed_anew(roll):
    """A cell moves its box by quarters of the crop's side. The crop is turned, the box in the picture is not."""
    faces = faces_at(roll)
    plain = Reader(Session(box=(0, 0, 0, 0)), 64).read(PICTURE, faces)
    side = plain.box[0, 2] - plain.box[0, 0]
    moved = Reader(Session(box=(0, 1, np.log(0.5), 0)), 64).read(PICTURE, faces)
    middle, before = (moved.box[0, :2] + moved.box[0, 2:]) / 2, (plain.box[0, :2] + plain.box[0, 2:]) / 2
    down = [0, side / 4] if roll == 0 else [-side / 4, 0]  # the crop's y axis points from the forehead to the chin
    np.testing.assert_allclose(middle - before, down, atol=0.02 * side)
    np.testing.assert_allclose(moved.box[0, 2:] - moved.box[0, :2], [side / 2, side], rtol=1e-3)
    refined = Reader(Session(box=(0, 1, np.log(0.5), 0)), 64).refine(PICTURE, faces, np.ones(1))
    np.testing.assert_allclose(refined.box, faces.box + RULES.score.box * (moved.box - faces.box), rtol=1e-5)
