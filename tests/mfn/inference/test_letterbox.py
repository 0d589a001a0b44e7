"""Letterbox: the place of a picture in the network input, and the way back."""

import numpy as np
import pytest

from mfn.inference.letterbox import fit_letterbox, fixed_letterbox, letterbox_image, unletterbox
from mfn.inference.model_zoo import DEFAULT_SIZE
from mfn.structures.faces import Faces

INPUTS = {(720, 1280): (496, 880), (1080, 1920): (496, 880), (1280, 720): (880, 496), (500, 500): (656, 656)}


@pytest.mark.parametrize(("size", "expected"), [*INPUTS.items(), ((480, 640), (560, 752)), ((1, 1), (16, 16))])
def test_input_size_follows_the_picture(size, expected):
    box = fit_letterbox(*size, DEFAULT_SIZE)
    assert (box.height, box.width) == expected


def test_no_row_of_blocks_is_added_for_a_few_px():
    """1280 x 720 would need 22 x 13 cells, the last row two thirds gray, to be seen 5 % larger."""
    box = fit_letterbox(720, 1280, (352, 208))
    assert (box.height, box.width) == (192, 336) and max(box.offset) <= 1
    assert fit_letterbox(500, 500, (352, 208)).height == 272, "a square leaves nothing gray: the largest"


@pytest.mark.parametrize("height", [1, 63, 250, 720, 9000])
@pytest.mark.parametrize("width", [1, 100, 1280, 12000])
@pytest.mark.parametrize("fixed", [False, True])
def test_letterbox_holds_every_picture(height, width, fixed):
    box = fixed_letterbox(height, width, (576, 320)) if fixed else fit_letterbox(height, width, DEFAULT_SIZE)
    assert box.height % 16 == box.width % 16 == 0
    assert box.height * box.width <= DEFAULT_SIZE[0] * DEFAULT_SIZE[1] * 1.1
    for side, outer, factor, offset in zip((width, height), (box.width, box.height), box.factor, box.offset):
        assert offset >= 0 and offset + side * factor <= outer + 1e-6 and factor <= max(2.0, 1 / side)
    assert letterbox_image(np.zeros((height, width, 3), np.uint8), box).shape == (box.height, box.width, 3)


def test_the_letterboxed_picture_keeps_its_place():
    picture = np.zeros((720, 1280, 3), np.uint8)
    picture[200:400, 600:900] = 255
    box = fixed_letterbox(720, 1280, (640, 384))
    pixels = letterbox_image(picture, box)
    assert pixels[0, 0].tolist() == [114] * 3 and pixels[100 + 12, 300].tolist() == [255] * 3
    rows, columns = np.nonzero(pixels[:, :, 0] == 255)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (112, 212, 300, 450)


@pytest.mark.parametrize("width", [880, 640, 544, 352, 341, 160, 100])
def test_a_picture_is_shrunk_by_area(width):
    import cv2

    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 256, (18, 32, 3)).astype(np.uint8), (1280, 720), interpolation=cv2.INTER_CUBIC)
    box = fixed_letterbox(720, 1280, (width, width * 9 // 16 // 16 * 16 + 16))
    size = (width, round(720 * box.factor[1]))
    exact = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(float)
    top, left = box.offset[::-1]
    ours = letterbox_image(picture, box)[top : top + size[1], left : left + size[0]].astype(float)
    assert np.abs(ours - exact).mean() < 0.1 * exact.std(), "the same but for what lies between"
    assert np.abs(ours.mean() - exact.mean()) < 0.5
    assert letterbox_image(picture[:-1, :-1], box).std() < 1.1 * letterbox_image(picture, box).std(), "an odd size is shrunk by area, too"


def test_unletterbox_without_faces():
    assert len(unletterbox(Faces.empty(3), fit_letterbox(720, 1280, DEFAULT_SIZE))) == 0


def test_a_network_may_ask_for_larger_multiples():
    for height, width in ((720, 1280), (1000, 333), (97, 1009)):
        box = fit_letterbox(height, width, DEFAULT_SIZE, 32)
        assert box.height % 32 == 0 and box.width % 32 == 0
        assert box.height * box.width <= 1.1 * DEFAULT_SIZE[0] * DEFAULT_SIZE[1]
