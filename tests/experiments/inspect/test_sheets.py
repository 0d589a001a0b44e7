"""The pictures that are made for a check by eye."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.inspect import actor_sheet, clip_strip, expression_sheet, labels_sheet, likeness_sheet, track_strip
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from retarget import Take, load_rig
from retarget.arkit import ARKIT_NAMES, EXPRESSION_NAMES
from retarget.rig.avatars import find_avatar
from tests.helpers.experiments import numbered_pictures, one_face, write_tar

MODEL = HeadModel.load()


def test_every_region_of_the_head_has_a_color():
    assert set(MODEL.region_names) <= set(expression_sheet.COLORS)


def test_a_sheet_of_expressions_has_a_tile_a_name():
    sheet = expression_sheet.draw_sheet(MODEL, ["neutral", "jawOpen", "jawOpen+eyeBlinkLeft"], 20.0, 64, 2, wire=True)
    assert sheet.shape == (128, 128, 3) and sheet.dtype == np.uint8
    neutral, jaw = sheet[:50, :64].astype(int), sheet[:50, 64:].astype(int)
    assert np.abs(neutral - jaw).max() > 20 and (sheet[64:, 64:] == 255).all()
    with pytest.raises(ValueError, match="--names"):
        expression_sheet.expression_of("smile")


def test_the_mesh_covers_its_triangle_with_soft_edges():
    points = np.array([[2.0, 2, 1], [14, 2, 1], [2, 14, 1]])
    layer = labels_sheet.render_mesh(points, np.array([[0, 1, 2]]), np.full((3, 3), 0.5), np.tile([0, 0, -1.0], (3, 1)), 16, 20)
    assert layer.shape == (16, 20, 4) and layer.dtype == np.float32
    assert layer[4, 4, 3] == 1 and layer[15, 19, 3] == 0 and 0 < layer[..., 3].mean() < 0.3
    assert ((layer[..., 3] > 0) & (layer[..., 3] < 1)).any() and (layer[4, 4, :3] > 0).all()


def labels_of(count: int) -> dict[str, np.ndarray]:
    face = one_face((10, 10, 50, 55))
    labels = {name: np.repeat(getattr(face, name), count, 0) for name in ("box", "rotation", "scale", "center", "identity", "expression")}
    return labels | {"ok": np.arange(count) != 0, "residual": np.arange(count)[::-1] / 10, "face": np.arange(count)}


def test_faces_are_picked_by_shape_side_and_residual():
    labels = labels_of(12)
    labels["expression"][:, EXPRESSION_NAMES.index("jawOpen")] = np.arange(12) / 12
    assert set(labels_sheet.choose(labels, "jawOpen", 2, 0)) <= set(range(4, 12))
    assert labels_sheet.choose(labels, "worst", 2, 0).tolist() == [0, 1]
    assert len(labels_sheet.choose(labels, "left", 3, 0)) == 3
    assert 0 not in labels_sheet.choose(labels, "random", 11, 0)
    with pytest.raises(ValueError, match="--pick"):
        labels_sheet.choose(labels, "nicest", 1, 0)


def test_a_sheet_of_labels(tmp_path):
    (tmp_path / "faces").mkdir()
    write_tar(tmp_path / "faces" / "a.tar", numbered_pictures(3, 64, 64))
    np.savez(tmp_path / "faces" / "a.npz", face_picture=np.array([2, 1, 0]))
    np.savez(tmp_path / "a.npz", head_model=np.array("x"), **labels_of(3))
    options = SimpleNamespace(data=tmp_path, each=2, seed=0, size=48)
    sheet = labels_sheet.draw_sheet([tmp_path / "a.npz"], ["random", "worst"], options)
    assert sheet.shape == (96, 192, 3) and sheet.max() > 100


def test_a_column_of_a_strip_has_three_tiles():
    frame = np.full((240, 320, 3), 120, np.uint8)
    face = one_face((100, 60, 180, 160))
    column = clip_strip.draw_column(frame, face, MODEL, load_rig(find_avatar("robot")))
    side = clip_strip.SIDE_PX
    assert column.shape == (3 * side, side, 3) and (column[side // 2] == 120).all() and np.ptp(column[side : 2 * side]) > 50
    assert clip_strip.crop_face(frame, face[[]]).shape == (side, side, 3)


def test_the_shapes_that_move_most_are_printed_first():
    faces = Faces.concatenate([one_face((0, 0, 9, 9))] * 20)
    expression = np.zeros((20, 51), np.float32)
    expression[:, EXPRESSION_NAMES.index("jawOpen")] = np.linspace(0, 1, 20)
    lines = clip_strip.shape_ranges(faces.replace(expression=expression))
    assert lines[0].startswith("jawOpen ") and lines[0].endswith("0.05 to 0.95") and len(lines) == 12


def test_track_numbers_are_drawn_on_the_small_frame():
    faces = one_face((40, 40, 80, 80)).replace(track=np.array([3]))
    tile = track_strip.draw_tile(np.zeros((60, 80, 3), np.uint8), faces, 0.5, "7")
    assert tuple(tile[30, 20]) == track_strip.COLORS[3] and tile[40:, :].any()
    assert track_strip.summary(faces, 5, np.array([True, False, True])) == ["person 3: 1 of 5 frames, 0 to 0", "shots begin at [0, 2]"]


def test_a_clip_is_read_once_with_its_faces(tmp_path):
    pytest.importorskip("av")
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 160))
    for level in range(4):
        writer.write(np.full((160, 320, 3), 60 * level, np.uint8))
    writer.release()
    clip = track_strip.read(tmp_path / "clip.avi", lambda frame: one_face((0, 0, 40, 40)))
    assert len(clip.small) == len(clip.time_s) == len(clip.cuts) == 4 and clip.factor == 0.5
    assert clip.faces.image.tolist() == [0, 1, 2, 3] and len(track_strip.read(tmp_path / "clip.avi", None).faces) == 0


def test_the_strongest_expressions_of_a_take_are_drawn(tmp_path):
    pytest.importorskip("av")
    import cv2

    coefficients = np.zeros((30, 52), np.float32)
    coefficients[4, ARKIT_NAMES.index("eyeBlinkLeft")] = 0.9
    coefficients[20, ARKIT_NAMES.index("jawOpen")] = 0.7
    coefficients[21, ARKIT_NAMES.index("jawOpen")] = 0.6
    take = Take(np.arange(30) / 10, np.zeros(30, int), coefficients, np.tile([0, 0, 0, 1.0], (30, 1)), np.tile([0, 0, -1.0], (30, 1)))
    assert actor_sheet.strong_moments(take, 2) == [(4, "left wink"), (20, "jaw open")]
    assert actor_sheet.strength(take, "2 jawOpen - eyeBlinkLeft")[[4, 20]] == pytest.approx([-0.9, 1.4])
    assert actor_sheet.weight_lines(take[[20]])[0] == "0.70 jawOpen"
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 120))
    for _ in range(30):
        writer.write(np.full((120, 160, 3), 90, np.uint8))
    writer.release()
    sheet = actor_sheet.draw_sheet(tmp_path / "clip.avi", take, [load_rig(find_avatar("robot"))], 2)
    side, text = actor_sheet.SIDE_PX, actor_sheet.TEXT_PX
    assert sheet.shape == (2 * side, text + 2 * side, 3) and np.ptp(sheet[:side, text + side :]) > 100
    with pytest.raises(ValueError, match="longest"):
        actor_sheet.draw_sheet(tmp_path / "clip.avi", Take.empty(), [], 2)


def test_a_person_stands_beside_characters_at_three_amounts():
    photo = np.full((240, 320, 3), 120, np.uint8)
    photo[60:160, 100:180] = (200, 120, 90)
    row = likeness_sheet.draw_row(photo, one_face((100, 60, 180, 160)), [load_rig(find_avatar("person"))])
    side = likeness_sheet.SIDE_PX
    assert row.shape == (side, 4 * side, 3)
    none, half, full = (row[:, k * side : (k + 1) * side].astype(int) for k in (1, 2, 3))
    assert 0 < np.abs(none - half).mean() < np.abs(none - full).mean()
    with pytest.raises(ValueError, match="with a face"):
        likeness_sheet.draw_row(photo, one_face((0, 0, 9, 9))[[]], [])
