"""Shadows, glasses and swaps of eyes: whom they befall, and what stays the same."""

import pytest

torch = pytest.importorskip("torch")

from mfn.training.device.eye_effects import (  # noqa: E402
    EVEN_LIDS,
    GLASSES_SHARE,
    MAX_TURN,
    SHADOW,
    SHADOW_SHARE,
    SWAP_SHARE,
    WINKING_LIDS,
    cast_shadows,
    choose_swaps,
    match_colors,
    put_on_glasses,
)


def changed(before, after):
    return ((after - before).abs() > 1).flatten(1).any(1)


def test_shadows_make_a_share_of_the_eyes_darker_on_one_side():
    torch.manual_seed(0)
    gray = torch.full((600, 3, 32, 32), 200.0)
    dark = cast_shadows(gray)
    assert dark.max() <= 200 and dark.min() >= 200 * SHADOW[0] - 1e-3
    assert changed(gray, dark).float().mean() == pytest.approx(SHADOW_SHARE, abs=0.06)


def test_both_eyes_of_a_face_wear_glasses_and_each_lens_mirrors_something_else():
    torch.manual_seed(0)
    picture = torch.rand(600, 3, 32, 32) * 255
    worn = put_on_glasses(picture)
    left, right = changed(picture, worn).reshape(-1, 2).unbind(1)
    assert torch.equal(left, right) and left.float().mean() == pytest.approx(GLASSES_SHARE, abs=0.06)
    assert worn.min() >= 0 and worn.max() <= 255
    difference = (worn - picture)[0::2][left] - (worn - picture)[1::2][left]
    assert difference.abs().mean() > 1
    corner = (worn - picture)[..., :2, :2].abs().mean((1, 2, 3))
    assert (corner < 1).float().mean() > 0.9, "the lens lies in the middle"


def test_swapped_eyes_look_the_same_way_and_wink_or_are_even():
    torch.manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(1000, 3) * torch.tensor([0.3, 0.2, 0.05]) - torch.tensor([0, 0, 1.0]))
    lid = (torch.rand(500) < 0.3).float().repeat_interleave(2) * 0.9
    source = choose_swaps(direction, lid)
    own = torch.arange(1000)
    swapped = source != own
    assert swapped.reshape(-1, 2).sum(1).max() == 1, "each face keeps one of its eyes"
    assert swapped.reshape(-1, 2).any(1).float().mean() == pytest.approx(SWAP_SHARE, abs=0.06)
    assert (source % 2 == own % 2).all(), "a left eye takes the place of a left eye"
    assert (direction[source] - direction).norm(dim=1).max() < MAX_TURN
    left, right = lid[source].reshape(-1, 2)[swapped.reshape(-1, 2).any(1)].unbind(1)
    difference = (left - right).abs()
    assert ((difference > WINKING_LIDS) | (difference < EVEN_LIDS)).all()
    assert 0.4 < (difference > WINKING_LIDS).float().mean() < 0.8


def test_nobody_is_swapped_where_nobody_fits():
    alone = choose_swaps(torch.tensor([[0, 0, -1.0], [0, 0, -1.0]]), torch.tensor([0.0, 0.9]))
    assert alone.tolist() == [0, 1]


def test_a_swapped_eye_takes_the_colors_of_its_face():
    torch.manual_seed(0)
    dark, light = torch.rand(4, 3, 16, 16) * 60, 100 + torch.rand(4, 3, 16, 16) * 90
    matched = match_colors(dark, light)
    torch.testing.assert_close(matched.mean((2, 3)), light.mean((2, 3)), atol=1.5, rtol=0)
    torch.testing.assert_close(matched.std((2, 3)), light.std((2, 3)), atol=2, rtol=0)
