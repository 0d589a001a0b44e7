"""Letterbox: the place of a picture in the network input, and the way back."""

import numpy as np
import pytest

from mfn.inference.input.letterbox import letterbox_image, make_letterbox, unletterbox
from mfn.structures.faces import Faces


@pytest.mark.parametrize("height", [1, 63, 250, 720, 9000])
@pytest.mark.parametrize("width", [1, 100, 1280, 12000])
@pytest.mark.parametrize("multiple", [1, 16, 32])
@pytest.mark.parametrize("fixed", [False, True])
def test_letterbox_holds_every_picture(height, width, multiple, fixed):
    factor = min(320 / height, 576 / width, 2.0)
    box = make_letterbox(height, width, factor, multiple, (576, 320) if fixed else None)
    assert (box.width, box.height) == (576, 320) if fixed else box.height % multiple == box.width % multiple == 0
    for side, outer, own, offset in zip((width, height), (box.width, box.height), box.factor, box.offset, strict=True):
        assert 0 <= offset <= (outer - side * own) / 2 + 1 and offset + side * own <= outer + 1e-6
        assert abs(side * own - max(side * factor, 1)) <= 0.5 + 1e-6 and (fixed or outer - side * own < multiple)
    assert letterbox_image(np.zeros((height, width, 3), np.uint8), box).shape == (box.height, box.width, 3)


def test_the_letterboxed_picture_keeps_its_place():
    picture = np.zeros((720, 1280, 3), np.uint8)
    picture[200:400, 600:900] = 255
    box = make_letterbox(720, 1280, 0.5, fixed_size=(640, 384))
    pixels = letterbox_image(picture, box)
    assert pixels[0, 0].tolist() == [114] * 3 and pixels[100 + 12, 300].tolist() == [255] * 3
    rows, columns = np.nonzero(pixels[:, :, 0] == 255)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (112, 212, 300, 450)


@pytest.mark.parametrize("width", [880, 640, 544, 352, 341, 160, 100])
def test_a_picture_is_shrunk_by_area(width):
    import cv2

    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 256, (18, 32, 3)).astype(np.uint8), (1280, 720), interpolation=cv2.INTER_CUBIC)
    box = make_letterbox(720, 1280, width / 1280)
    size = (width, round(720 * box.factor[1]))
    exact = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(float)
    top, left = box.offset[::-1]
    ours = letterbox_image(picture, box)[top : top + size[1], left : left + size[0]].astype(float)
    assert np.abs(ours - exact).mean() < 0.1 * exact.std(), "the same but for what lies between"
    assert np.abs(ours.mean() - exact.mean()) < 0.5
    assert letterbox_image(picture[:-1, :-1], box).std() < 1.1 * letterbox_image(picture, box).std(), "an odd size is shrunk by area, too"


def test_unletterbox_without_faces():
    assert len(unletterbox(Faces.empty(3), make_letterbox(720, 1280, 0.5))) == 0
