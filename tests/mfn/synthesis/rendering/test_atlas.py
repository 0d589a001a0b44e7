"""The atlas places every triangle on its page and knows what lies at each pixel."""

import numpy as np
import pytest

from mfn.structures.head_model import HeadModel
from mfn.synthesis.rendering.atlas import PAGE_PX, WIDTH_PX, HeadAtlas, Page, build_atlas
from mfn.synthesis.rendering.face_masks import crop_mask, hair_height, make_face_masks


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def atlas(model: HeadModel) -> HeadAtlas:
    return build_atlas(model)


def test_triangles_lie_on_their_pages(model: HeadModel, atlas: HeadAtlas) -> None:
    limits = {Page.FACE: (0, PAGE_PX), Page.SCALP: (PAGE_PX, 2 * PAGE_PX), Page.EYE: (2 * PAGE_PX, WIDTH_PX)}
    for page, (low, high) in limits.items():
        x = atlas.corner[atlas.page == page][..., 0]
        assert len(x) and x.min() >= low and x.max() <= high, page
    assert atlas.corner.shape == (len(model.triangles), 3, 2)


def test_pixels_know_their_place_on_the_head(model: HeadModel, atlas: HeadAtlas) -> None:
    assert atlas.point.shape == (PAGE_PX, WIDTH_PX, 3) and np.isfinite(atlas.point).all()
    vertex = np.flatnonzero((model.uv >= 0).all(1))
    x, y = (model.uv[vertex] * PAGE_PX).astype(int).clip(0, PAGE_PX - 1).T
    assert np.median(np.linalg.norm(atlas.point[y, x] - model.mean[vertex], axis=1)) < 0.002
    assert atlas.opening_px[:, :PAGE_PX].min() == 0


def test_masks_lie_where_their_names_say(model: HeadModel, atlas: HeadAtlas) -> None:
    masks = make_face_masks(atlas, model)
    landmarks = model.landmark_basis("ibug68")[0]
    for name, landmark in (("lips", 51), ("chin", 8), ("moustache", 33)):
        mask = masks[name]
        place = atlas.point[:, :PAGE_PX][mask.window][mask.values > 0.5]
        assert np.linalg.norm(place - landmarks[landmark], axis=1).min() < 0.012, name


def test_hair_begins_above_the_forehead(model: HeadModel) -> None:
    height = hair_height(model.mean)
    assert height[model.mean[:, 1].argmax()] > 0.02
    assert hair_height(model.landmark_basis("ibug68")[0][30]) < 0


def test_masks_are_cropped() -> None:
    values = np.zeros((6, 8), np.float32)
    values[2:4, 3:7] = 1
    mask = crop_mask(values, "lips")
    assert mask.values.shape == (2, 4) and (mask.values == 1).all()
    assert crop_mask(values, "mask").values.shape == (6, 8)
