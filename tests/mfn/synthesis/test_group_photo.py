import numpy as np
import pytest

from mfn.synthesis.group_photo import _places, make_group_photo, studio_wall

SIZE = (320, 180)


@pytest.fixture(scope="module")
def group(head_model):
    return make_group_photo(head_model, 2, SIZE, seed=1)


def test_a_group_is_the_same_for_the_same_seed(group):
    np.testing.assert_array_equal(group.render(), group.render())
    assert len(group.people) == len(group.faces) == 2 and group.render().shape == (180, 320, 3)


def test_heads_are_drawn_where_the_faces_are(group):
    changed = np.abs(group.render().astype(int) - studio_wall(*SIZE)).max(axis=2) > 12
    for x, y in group.faces.center.astype(int):
        assert changed[y, x]
    assert 0.2 < changed.mean() < 0.95 and not changed[:10].any()


def test_another_pose_changes_the_head_and_not_the_clothes(group):
    shifted = group.faces.replace(center=group.faces.center + [4.0, 0.0])
    before, after = group.render(), group.render(shifted)
    difference = (before != after).any(axis=2)
    assert difference[: int(group.faces.box[:, 3].max())].any() and not difference[-8:].any()


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 30, 500])
def test_everybody_has_a_place_of_their_own_in_the_image(count):
    center, scale = _places(count, (1280, 720))
    assert center.shape == (count, 2) and scale.shape == (count,)
    assert (center > 0).all() and (center < (1280, 720)).all()
    distance = np.linalg.norm(center[:, None] - center[None], axis=2) + 1e9 * np.eye(count)
    assert count == 1 or distance.min() > 0.15 * scale.max()
