"""Rendered heads: a pack that needs no photo, made once."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
from mfn.training.packs.rendered_heads import CHUNK, RenderedHeads  # noqa: E402
from mfn.training.packs.sources import PackSources  # noqa: E402
from mfn.training.packs.writer import write_pictures  # noqa: E402
from retarget.io.images import encode_jpeg  # noqa: E402


@pytest.fixture(scope="module")
def heads(tmp_path_factory) -> RenderedHeads:
    """Ten small heads."""
    made = RenderedHeads(count=CHUNK + 2, size_px=48, folder=tmp_path_factory.mktemp("rendered"), processes=2)
    made.make()
    return made


def test_every_head_has_a_picture_and_a_label(heads):
    pack = heads.read()
    assert len(pack.pictures) == len(pack.faces) == heads.count and pack.has_labels.all()
    assert all(picture.shape == (48, 48, 3) and picture.std() > 5 for picture in pack.pictures)
    assert pack.faces.image.tolist() == list(range(heads.count))
    middle = (pack.faces.box[:, :2] + pack.faces.box[:, 2:]) / 2
    assert ((middle > 8) & (middle < 40)).all()


def test_heads_are_rendered_once_and_do_not_depend_on_the_number_of_processes(heads, tmp_path):
    stamp = (heads.folder / f"{heads.name}.tar").stat().st_mtime_ns
    heads.make()
    assert (heads.folder / f"{heads.name}.tar").stat().st_mtime_ns == stamp
    alone = RenderedHeads(heads.count, size_px=48, folder=tmp_path, processes=1)
    assert alone.name == heads.name
    for first, second in zip(heads.read().pictures, alone.read().pictures, strict=True):
        assert np.array_equal(first, second)


def test_a_person_is_in_one_part_only(heads):
    pack = heads.read()
    people = [set(pack.select(pack.held_out() == held).faces.track.tolist()) for held in (False, True)]
    assert people == [{0}, {1}]


def test_other_settings_are_another_pack(heads):
    assert len({heads.name, RenderedHeads(heads.count, size_px=64).name, RenderedHeads(heads.count, size_px=48, seed=1).name}) == 3
    with pytest.raises(ValueError, match="count of 1 or more"):
        RenderedHeads(count=0).make()


def test_sources_without_photos_have_drawn_backgrounds(heads, monkeypatch, capsys):
    monkeypatch.setattr("mfn.training.packs.rendered_heads.BACKGROUNDS", 3)
    monkeypatch.setattr("mfn.training.packs.rendered_heads.BACKGROUND_PX", 40)
    pictures = PackSources(heads.folder / "nowhere", heads.folder, {}, heads).read()
    assert len(pictures.backgrounds) == 3 and pictures.weights == [1.0]
    assert "there are no photos without faces" in capsys.readouterr().err
    train, val = (pictures.part(held)[0][0].faces.image for held in (False, True))
    assert len(train) and len(val) and not set(train) & set(val)


@pytest.mark.parametrize(("weight", "text"), [(0.0, "rendered: 0.0"), (-1.0, "rendered: -1.0"), (float("nan"), "rendered: nan")])
def test_weights_without_sense_are_refused(heads, weight, text):
    with pytest.raises(ValueError, match=f"sources: expected weights of 0 or more, and one above 0, got {text}"):
        PackSources(heads.folder, heads.folder, {}, replace(heads, weight=weight)).prepare()


def test_an_empty_archive_of_backgrounds_is_named(heads, tmp_path):
    write_pictures(tmp_path / "backgrounds.tar", [])
    with pytest.raises(ValueError, match=r"backgrounds\.tar: expected photos without faces, got none; remove the file"):
        PackSources(tmp_path, tmp_path, {}, heads).read()


def test_one_background_serves_training_and_validation(heads, tmp_path):
    pytest.importorskip("lightning")
    from mfn.training.data.scene_datamodule import SceneDataModule

    write_pictures(tmp_path / "backgrounds.tar", [encode_jpeg(np.full((80, 80, 3), 9, np.uint8))])
    data = SceneDataModule(tmp_path, tmp_path, size=64, batch_size=2, workers=0, validation=1, rendered=heads)
    assert len(next(iter(data.train_dataloader())).picture) == 2 and len(next(iter(data.val_dataloader())).picture) == 1


def test_missing_packs_are_named_together(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing packs: .*lfw\.tar, runs/mine/faces\.tar.*training\.md.*synthetic\.yaml"):
        PackSources(tmp_path, tmp_path, {"lfw": 1.0, "runs/mine/faces": 1.0}).prepare()
    with pytest.raises(ValueError, match="expected at least one pack"):
        PackSources(tmp_path, tmp_path, {}).prepare()
