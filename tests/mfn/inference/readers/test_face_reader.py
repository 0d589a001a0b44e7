"""The face reader: which values it replaces, how many crops it runs, and faces that are turned in their crops."""

import numpy as np
import pytest

from mfn.inference.readers.face_reader import (
    Reader,
    choose_to_refine,
    confirmed_score,
    crops_of_each,
    mix,
)
from mfn.inference.readers.reading_rules import FREE_RULES, READER_ALONE, RULES
from mfn.inference.readers.repeated_crops import FACE_CHANGES
from mfn.structures.camera import rotation_from_euler
from mfn.structures.cells import CELL_SIZE, FRONTAL_6D, IDENTITY_SIZE, SLICES
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES

PICTURE = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)


class Session:
    """A network that reads the same pose, given as a roll for each call, and the same score and box in every crop.

    `crops` is how often each face is read in a call. The poses in mirrored crops are mirrored.
    """

    def __init__(self, *roll_deg: float, logit: float = 0.0, box: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0), crops: int = 1) -> None:
        self.roll_deg, self.place, self.seen = list(roll_deg) or [0.0], [logit, *box], []
        self.sides = [-1 if change.mirrored else 1 for change in FACE_CHANGES[crops]]

    def run(self, _: None, feed: dict) -> list:
        roll = self.roll_deg[min(len(self.seen), len(self.roll_deg) - 1)]
        self.seen.append(feed["image"])
        raw = np.zeros((len(feed["image"]), CELL_SIZE), np.float32)
        raw[:, :5] = self.place
        for side, part in zip(self.sides, np.array_split(raw, len(self.sides)), strict=True):
            part[:, SLICES["rotation"]] = rotation_from_euler(np.deg2rad([0, 0, side * roll]))[:2].ravel() - np.array(FRONTAL_6D)
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


@pytest.mark.parametrize("count", [None, 5])
def test_the_pose_is_read_upright_and_turned_back(count):
    rolls = [0.0, 30.0, 90.0, 179.0, -120.0]
    found = Reader(Session(), 64).read(PICTURE, faces_at(*rolls), count).faces
    np.testing.assert_allclose(found.pitch_yaw_roll_deg, [[0, 0, roll] for roll in rolls], atol=0.01)
    assert (np.abs(found.center - [180, 130]) < 60).all() and found.track.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(found.scale, found.scale[0], rtol=0.3)
    np.testing.assert_allclose(found.expression, 0.5)


def test_the_reader_counts_more_for_small_faces_and_alone_for_eyes_and_frowns():
    faces = faces_at(0, 0, 0)
    heights = np.array([20, 77.46, 500], np.float32)
    read = Reader(Session(), 64).read(PICTURE, faces).faces
    found = Reader(Session(), 64).refine(PICTURE, faces, heights)
    assert found.refined.all()
    jaw, blink = EXPRESSION_NAMES.index("jawOpen"), EXPRESSION_NAMES.index("eyeBlinkLeft")
    expression_shares = RULES.expression.at(heights)
    assert expression_shares[0] == 1 and expression_shares[2] == pytest.approx(RULES.expression.tall) and RULES.expression.tall < 1
    wanted = faces.expression[:, jaw] + expression_shares * (read.expression[:, jaw] - faces.expression[:, jaw])
    wanted = 0.1 + (1 + 4 * expression_shares * (1 - expression_shares) * (RULES.spread - 1)) * (wanted - 0.1)
    np.testing.assert_allclose(found.expression[:, jaw], wanted, rtol=1e-3)
    assert np.unique(wanted).size == 3
    np.testing.assert_allclose(found.expression[:, [blink, EXPRESSION_NAMES.index("mouthFrownLeft")]], 0.5, rtol=1e-5)
    np.testing.assert_allclose(found.identity[:, 0], 0.5 * (faces.identity[:, 0] + read.identity[:, 0]), rtol=1e-5)
    middle = (RULES.pose.small + RULES.pose.tall) / 2  # 77.46 px lie halfway between 50 and 120 px in steps of equal ratio
    shares = np.array([RULES.pose.small, middle, RULES.pose.tall])
    np.testing.assert_allclose(found.center, faces.center + shares[:, None] * (read.center - faces.center), rtol=1e-3)
    np.testing.assert_allclose(np.log(found.scale), np.log(faces.scale) + shares * np.log(read.scale / faces.scale), rtol=1e-3)


def test_a_mean_of_both_networks_is_spread_as_each_of_them():
    """Where one network alone counts, nothing changes; where both do, weights lie farther from rest, but never beyond 0 and 1."""
    faces = faces_at(0, 0)
    weights = np.tile(np.linspace(0, 1, 51, dtype=np.float32), (2, 1))
    found = mix(faces.replace(expression=weights), faces.replace(expression=weights), np.array([20, 500], np.float32)).expression
    np.testing.assert_allclose(found[0], weights[0], rtol=1e-6)
    alone = np.array([name.startswith(READER_ALONE) for name in EXPRESSION_NAMES])
    assert alone.sum() == 14 + 2 + 2 + 3 * 2
    np.testing.assert_allclose(found[1][alone], weights[1][alone], rtol=1e-6)
    share = RULES.expression.tall
    factor = 1 + 4 * share * (1 - share) * (RULES.spread - 1)
    assert factor > 1.05
    np.testing.assert_allclose(found[1][~alone], np.clip(0.1 + factor * (weights[1][~alone] - 0.1), 0, 1), rtol=1e-5)


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
    assert [len(crops) for crops in session.seen[2:]] == [64, 64, 64, 64, 4], "the crops, then their mirror images"
    assert len(reader.refine(PICTURE, Faces.empty(IDENTITY_SIZE), np.zeros(0))) == 0 and len(session.seen) == 7


@pytest.mark.parametrize(
    ("faces", "batch", "crops"),
    [(1, 8, 8), (8, 64, 8), (9, 64, 4), (16, 64, 4), (17, 64, 2), (32, 64, 2), (33, 64, 1), (64, 64, 1), (3, 16, 4)],
)
def test_few_faces_are_read_more_often_in_the_same_batch(faces, batch, crops):
    session = Session(crops=crops)
    assert len(Reader(session, 32).read(PICTURE, faces_at(*[0.0] * faces), batch).logit) == faces
    (seen,) = session.seen
    assert len(seen) == batch, "the time does not depend on the number of faces"
    used = seen[: faces * crops].reshape(crops, faces, *seen.shape[1:])
    assert (used.max((1, 2, 3, 4)) > 0).all() and not seen[faces * crops :].any()
    assert len({view.tobytes() for view in used}) == crops, "each crop differs"


def test_all_faces_of_a_picture_are_read_at_least_twice():
    for count, crops in ((1, 8), (8, 8), (20, 2), (40, 2)):
        session = Session(crops=2)
        Reader(session, 32).read(PICTURE, faces_at(*[0.0] * count))
        assert sum(map(len, session.seen)) == count * crops, count


def test_the_mirrored_crop_is_turned_back():
    """Both crops of each face show a head that is turned by 30 degrees in the crop; the second is the mirror image of the first."""
    session = Session(30, crops=2)
    faces = faces_at(*[20.0] * 20)
    found = Reader(session, 64).read(PICTURE, faces, 40).faces
    np.testing.assert_allclose(found.pitch_yaw_roll_deg[:, 2], 50, atol=0.1)
    (seen,) = session.seen
    np.testing.assert_array_equal(seen[20:], seen[:20, :, ::-1])


class Spot:
    """A network that returns the place and the size of the light in a crop as center, box and scale."""

    def run(self, _: None, feed: dict) -> list:
        raw = np.zeros((len(feed["image"]), CELL_SIZE), np.float32)
        raw[:, SLICES["rotation"]] = rotation_from_euler(np.zeros(3))[:2].ravel() - np.array(FRONTAL_6D)
        for row, crop in zip(raw, feed["image"][..., 0].astype(float), strict=True):
            y, x = (crop.sum(axis) @ (np.arange(64) + 0.5) / crop.sum() for axis in (1, 0))
            row[SLICES["center"]] = row[1:3] = (np.array([x, y]) - 32) / 16
            row[3:5] = row[SLICES["scale"]] = np.log(np.sqrt(crop.sum() / 255) / 64)
        return [raw]


@pytest.mark.parametrize("change", [FACE_CHANGES[1][0], FACE_CHANGES[2][1], *FACE_CHANGES[8]])
def test_each_crop_is_brought_back_to_the_picture(change, monkeypatch):
    """A square of light is read where it lies, and as large as it is, in each crop by itself."""
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[110:170, 150:210] = 255
    plain = Reader(Spot(), 64).read(picture, faces_at(0), 1)
    monkeypatch.setattr("mfn.inference.readers.crop_network.FACE_CHANGES", {1: (change,)})
    found = Reader(Spot(), 64).read(picture, faces_at(0), 1)
    np.testing.assert_allclose(found.faces.center[0], [180, 140], atol=0.5)
    np.testing.assert_allclose(found.box[0], [150, 110, 210, 170], atol=1)
    np.testing.assert_allclose(found.faces.scale, plain.faces.scale, rtol=0.02)


def test_the_values_are_the_mean_of_the_crops():
    class Rising:
        def run(self, _: None, feed: dict) -> list:
            raw = np.zeros((len(feed["image"]), CELL_SIZE), np.float32)
            raw[:, 0] = np.arange(len(raw))  # the logit of the score
            return [raw]

    assert Reader(Rising(), 32).read(PICTURE, faces_at(0), 8).logit == pytest.approx([3.5])
    assert Reader(Rising(), 32).read(PICTURE, faces_at(0, 0), 4).logit == pytest.approx([1, 2]), "crops 0 and 2, then 1 and 3"


@pytest.mark.parametrize(
    ("score", "count", "crops"),
    [
        ([], 8, []),
        ([0.9], 1, [1]),
        ([0.9, 0.2, 0.07], 16, [8, 1, 1]),
        ([0.9, 0.2, 0.07, 0.06, 0.09], 11, [8, 1, 1, 0, 1]),  # the surest of the doubtful ones
        ([0.9, 0.9, 0.2, 0.2], 8, [2, 2, 1, 1]),
        ([0.07, 0.9, 0.9, 0.05], 2, [0, 1, 1, 0]),
        ([0.05, 0.06], 4, [1, 1]),
        ([0.9, 0.2, 0.05], None, [8, 2, 2]),
        ([0.9] * 20 + [0.05] * 80, None, [2] * 100),
    ],
)
def test_likely_faces_are_read_more_often_than_doubtful_ones(score, count, crops):
    assert crops_of_each(np.array(score, np.float32), count).tolist() == crops


def test_in_a_frame_doubtful_candidates_make_room():
    session = Session(crops=1)
    faces = faces_at(0, 0, 0).replace(score=np.array([0.9, 0.06, 0.05]))
    found = Reader(session, 32).refine(PICTURE, faces, np.ones(3), 8)
    assert found.refined.tolist() == [True, False, False] and len(session.seen[0]) == 8


def test_large_doubtful_candidates_do_not_displace_small_ones():
    faces = faces_at(*[0.0] * 4).replace(score=np.array([0.9, 0.06, 0.14, 0.08]))
    small = faces.box.copy()
    small[2] = [0, 0, 20, 20]
    assert choose_to_refine(faces.replace(box=small), 2).tolist() == [0, 2]


def test_only_the_surest_faces_are_read():
    faces = faces_at(*[0.0] * 7)
    found = Reader(Session(), 32).refine(PICTURE, faces, np.ones(7), 3)
    assert found.refined.tolist() == [True] * 3 + [False] * 4 and found.track.tolist() == faces.track.tolist()
    assert found[3:] == faces[3:] and (found.expression[:3] == 0.5).all()


def test_a_face_that_is_turned_in_its_crop_is_read_again():
    session = Session(80, 0, crops=8)
    found = Reader(session, 64).read(PICTURE, faces_at(20)).faces
    assert len(session.seen) == 2 and found.pitch_yaw_roll_deg[0, 2] == pytest.approx(100, abs=0.1)
    contradicting = Session(80, 90, crops=8)  # the second reading does not confirm the first
    found = Reader(contradicting, 64).read(PICTURE, faces_at(20)).faces
    assert found.pitch_yaw_roll_deg[0, 2] == pytest.approx(20, abs=0.1) and len(contradicting.seen) == 2
    assert len(Reader(session, 64).read(PICTURE, faces_at(0)[[]]).logit) == 0
    in_time = Session(80, 0, crops=4)  # a fixed number of crops is read once
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
