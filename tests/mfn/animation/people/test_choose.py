"""Who is kept, the contact sheet of the people, and their neutral faces."""

import cv2
import numpy as np
import pytest

from mfn.animation.people.choose import choose_people, neutral_calibration, people_of, write_people_sheet
from mfn.cli.main import main
from mfn.structures.faces import Faces
from retarget.arkit import ARKIT_NAMES
from retarget.io.images import read_image, write_image
from tests.helpers.experiments import one_face


def three_people() -> Faces:
    """Person 0 is small and always there, 1 is large and seen once, 2 is large and always there; 10 frames."""
    boxes = ((0, 0, 40, 50), (100, 0, 180, 100), (200, 0, 280, 100))
    faces = []
    for track, box in enumerate(boxes):
        for frame in range(1 if track == 1 else 10):
            face = one_face(box)
            faces.append(face.replace(image=np.array([frame]), track=np.array([track]), identity=face.identity * 0 + track))
    return Faces.concatenate(faces)


def test_people_are_described():
    people = people_of(three_people(), np.arange(10) / 10)
    assert [(p.number, p.frames, p.height_px) for p in people] == [(0, 10, 50), (1, 1, 100), (2, 10, 100)]
    assert str(people[2]).startswith("person 2: 0.0 to 0.9 s, 10 frames, face 100 px high, score ")


@pytest.mark.parametrize(
    ("count", "drop", "kept"),
    [(None, [], [0, 1, 2]), (2, [], [0, 2]), (1, [], [2]), (1, [2], [0]), (None, [0, 2], [1]), (9, [], [0, 1, 2])]
)
def test_the_most_present_people_are_kept_with_their_numbers(count, drop, kept):
    assert np.unique(choose_people(three_people(), count, drop).track).tolist() == kept


def test_unknown_numbers_and_nobody():
    with pytest.raises(ValueError, match="--drop 3: expected the number of a person, 0 to 2"):
        choose_people(three_people(), None, [3])
    with pytest.raises(ValueError, match="nobody remains"):
        choose_people(three_people(), None, [0, 1, 2])
    assert len(choose_people(Faces.empty(2), 1, [5])) == 0


def test_the_sheet_has_a_row_for_each_person(tmp_path):
    picture = np.zeros((120, 300, 3), np.uint8)
    picture[:, 200:] = (0, 200, 0)
    write_people_sheet(tmp_path / "sheet.png", dict.fromkeys(range(10), picture), three_people())
    sheet = read_image(tmp_path / "sheet.png")
    rows = np.split(sheet, 3)
    assert rows[2][:, 70:, 1].mean() > 100 and rows[0][40:70, 100:130].max() == 0 and (rows[0][:, :64] < 50).any()
    assert (rows[0][:, 64:90] == 128).all(), "what lies outside the picture is gray; the face is not stretched over it"


def test_everybody_gets_the_neutral_face_that_is_most_like_theirs():
    faces = three_people()
    resting = Faces.concatenate([faces[faces.track == track][:1] for track in (2, 0)])
    expression = np.zeros((2, 51), np.float32)
    smile = ARKIT_NAMES.index("mouthSmileLeft"), ARKIT_NAMES.index("mouthSmileRight")
    expression[0, smile], expression[1, smile] = 0.3, 0.1
    calibration = neutral_calibration(resting.replace(expression=expression), faces[faces.track != 1])
    assert calibration.actor.tolist() == [0, 2]
    np.testing.assert_allclose(calibration.offset[:, smile[0]], [0.1, 0.3], atol=1e-6)


def test_a_photo_with_a_neutral_photo(spots, tmp_path, monkeypatch, capsys):
    from retarget import Take

    monkeypatch.chdir(tmp_path)
    picture = np.zeros((384, 640, 3), np.uint8)
    cv2.rectangle(picture, (160, 80), (167, 87), (255, 255, 255), -1)
    write_image("photo.png", picture)
    write_image("nobody.png", picture * 0)
    arguments = ["animate", "photo.png", "--weights", str(spots), "--min-face", "24", "--out", "x.npz"]
    assert main(arguments) == 0
    smile = ARKIT_NAMES.index("mouthSmileLeft")
    before = Take.load("x.npz")
    assert main([*arguments, "--neutral", "photo.png", "--people-sheet", "who.png"]) == 0
    assert Take.load("x.npz").coefficients[0, smile] < 1e-6 < before.coefficients[0, smile]
    assert "wrote who.png: the people with their numbers" in capsys.readouterr().out
    assert main([*arguments, "--neutral", "nobody.png"]) == 1
    assert "--neutral nobody.png: no face found" in capsys.readouterr().err
    assert main([*arguments, "--start", "1"]) == 1 and main([*arguments, "--drop", "x"]) == 2
