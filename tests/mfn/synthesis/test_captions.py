import numpy as np

from mfn.synthesis.captions import draw_caption, stack_with_captions


def test_a_caption_is_white_on_dark_and_leaves_the_image_alone():
    image = np.full((200, 400, 3), 200, np.uint8)
    drawn = draw_caption(image, "people")
    assert image.min() == 200 and drawn.shape == image.shape
    corner = drawn[:40, :150]
    assert corner.max() > 240 and corner.min() < 100 and (drawn[60:] == 200).all()


def test_images_are_stacked_with_a_gap():
    top, bottom = np.zeros((50, 80, 3), np.uint8), np.full((60, 80, 3), 9, np.uint8)
    stacked = stack_with_captions([(top, "a"), (bottom, "b")])
    assert stacked.shape == (50 + 4 + 60, 80, 3) and (stacked[50:54] == 255).all() and (stacked[-1] == 9).all()
