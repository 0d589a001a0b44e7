"""Pictures without faces and crowds that are made of single faces."""

import numpy as np

from experiments.data_generation.montages import (
    BACKGROUND_PX,
    SCENE_PX,
    compose_crowd,
    main,
    make_backgrounds,
    shuffled,
    surroundings,
    widen,
)
from mfn.structures.faces import Faces
from mfn.training.packs.reader import Pack, read_pictures
from mfn.training.packs.writer import write_pack
from retarget.io.images import encode_jpeg
from tests.helpers.experiments import one_face

RED, BLUE = (220, 30, 30), (20, 40, 200)


def red_face(box=(60, 20, 140, 180)) -> np.ndarray:
    """Return a blue picture with a red face."""
    picture = np.full((200, 200, 3), BLUE, np.uint8)
    picture[box[1] : box[3], box[0] : box[2]] = RED
    return picture


def red_pack(count: int = 3) -> Pack:
    faces = Faces.concatenate([one_face((60, 20, 140, 180)).replace(image=np.array([i])) for i in range(count)])
    return Pack("red", [red_face()] * count, faces, np.ones(count, bool), np.zeros((0, 4), np.float32), np.zeros(0, np.int32))


def is_red(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0].astype(int) - picture[..., 2] > 60


def test_surroundings_show_nothing_of_the_face():
    box = np.float32([60, 20, 140, 180])
    found = surroundings(red_face(), box)
    assert found.shape == (BACKGROUND_PX, BACKGROUND_PX, 3) and not is_red(found).any()
    assert surroundings(red_face(), np.float32([20, 20, 180, 180])) is None, "both strips are narrow"


def test_a_shuffled_photo_keeps_its_colors():
    found = shuffled(red_face(), np.random.default_rng(0))
    assert found.shape == (BACKGROUND_PX, BACKGROUND_PX, 3)
    assert abs(is_red(found).mean() - is_red(red_face()).mean()) < 0.1


def test_backgrounds_are_as_many_as_asked_for():
    made = make_backgrounds([red_pack()], 10, np.random.default_rng(0))
    assert len(made) == 10 and {picture.shape for picture in made} == {(BACKGROUND_PX, BACKGROUND_PX, 3)}


def test_boxes_of_a_crowd_lie_on_its_faces():
    pack, rng, seen = red_pack(), np.random.default_rng(1), 0
    for _ in range(4):
        crowd = compose_crowd([pack], [np.arange(3)], np.full((50, 50, 3), 128, np.uint8), rng)
        assert crowd.picture.shape == (*SCENE_PX, 3)
        for x1, y1, x2, y2 in crowd.box:
            middle = crowd.picture[int((y1 + y2) / 2), int((x1 + x2) / 2)]
            inside = is_red(crowd.picture[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1]).mean()
            assert is_red(middle[None, None]).all() and (inside > 0.75 or y2 - y1 < 24)  # borders are a large part of small faces
            seen += 1
    assert seen > 10


def test_a_widened_photo_has_its_face_at_the_new_place():
    pack, rng, background = red_pack(), np.random.default_rng(2), np.full((50, 50, 3), 128, np.uint8)
    for _ in range(8):
        picture, face = widen(red_face(), pack.faces[[0]], background, rng)
        assert picture.shape == (380, 380, 3) and face.box[0].tolist() == [150, 110, 230, 270]
        before = pack.faces[[0]]
        assert (face.center - face.box[:, :2] == before.center - before.box[:, :2]).all() and face.scale == before.scale
        x1, y1, x2, y2 = face.box[0].astype(int)
        assert is_red(picture[y1 + 20 : y2 - 20, x1 + 20 : x2 - 20]).all() and not is_red(picture[:, x2 + 10 : x2 + 50]).any()


def test_the_files_are_those_of_photos_with_drawn_boxes(tmp_path, monkeypatch):
    pack = red_pack(20)
    write_pack(tmp_path, "red", [encode_jpeg(picture) for picture in pack.pictures], pack.faces)
    out = tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["montages", "--pack", str(tmp_path / "red"), "--out", str(out), "--backgrounds", "9", "--scenes", "4"])
    main()
    with np.load(out / "scenes" / "scenes.npz") as data:
        assert len(data["box"]) == len(data["box_picture"]) > 0 and data["box_picture"].max() <= 3
    assert len(read_pictures(out / "scenes" / "scenes.tar")) == 4 and len(read_pictures(out / "backgrounds.tar")) == 9
