"""Frames of the time measurements, and that each measurement runs."""

import argparse
import json

import numpy as np
import pytest

from experiments.accuracy.evaluation_sets import EVALUATION_SETS
from experiments.speed import devices, drawing, readers, rig, runtime, speed_accuracy
from experiments.speed.batch import mutated_files
from experiments.speed.engine import rate
from experiments.speed.large_picture import CELL_PX, measure, scatter
from mfn.inference.face_finder import Found
from mfn.inference.predictor import Predictor
from mfn.structures.network_metadata import NetworkMetadata, Size
from retarget import load_rig
from retarget.rig.avatars import find_avatar
from tests.helpers.experiments import one_face

CROP = np.full((20, 20, 3), 255, np.uint8)


def test_fewer_faces_are_a_part_of_the_others():
    few, places = scatter(4 * CELL_PX, 3 * CELL_PX, 2, [CROP])
    many, _ = scatter(4 * CELL_PX, 3 * CELL_PX, 9, [CROP])
    assert 0 < (few == 255).sum() < (many == 255).sum() and (many[few == 255] == 255).all()
    assert all((few[y1:y2, x1:x2] == 255).all() for x1, y1, x2, y2 in places) and len(places) == 2
    with pytest.raises(ValueError, match="at most 12"):
        scatter(4 * CELL_PX, 3 * CELL_PX, 13, [CROP])


@pytest.mark.parametrize("count", runtime.COUNTS)
def test_a_frame_holds_the_faces_that_are_asked_for(count):
    import cv2

    frame = runtime.frame_with(count, [np.pad(CROP, ((6, 6), (6, 6), (0, 0)))])
    assert frame.shape == (runtime.HEIGHT, runtime.WIDTH, 3)
    white = np.uint8(frame[..., 0] > 180)
    assert cv2.connectedComponents(white)[0] - 1 == count


def test_crops_surround_the_faces_of_a_photo(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.full((80, 120, 3), 70, np.uint8))
    face = one_face((40, 20, 80, 60))
    assert [crop.shape for crop in runtime.face_crops(tmp_path / "a.png", lambda picture: face)] == [(60, 60, 3)]
    with pytest.raises(ValueError, match="--photo"):
        runtime.face_crops(tmp_path / "a.png", lambda picture: face[[]])


def test_times_of_frames_are_medians_of_rounds():
    frames = {count: runtime.frame_with(count, [CROP]) for count in (0, 1)}
    robot = load_rig(find_avatar("robot"))
    seconds, product_s, unit_s = runtime.time_counts(lambda frame, video: one_face((40, 20, 80, 60)), robot, frames, rounds=2)
    assert list(seconds) == [0, 1] and product_s > 0 and unit_s > 0
    assert all(0 <= row.detect <= row.rig for row in seconds.values())
    text = runtime.table(dict.fromkeys(runtime.COUNTS, 1), dict.fromkeys(runtime.COUNTS, seconds[0]), {})
    assert len(text.splitlines()) == 5 + len(runtime.PEERS)


def test_large_pictures_are_measured():
    predictor = Predictor.load("small", min_face_px=64, threads=1)
    figures = measure(predictor, scatter(300, 300, 1, [CROP]), rounds=1)
    assert figures["found"] == figures["false"] == 0 and figures["input_megapixels"] >= 0
    assert figures["cpu_seconds"] > 0 and figures["peak_megabytes"] > 0


class Timed:
    """A stand-in for a `Predictor` with readers; `counts` notes how many faces each of them is to read."""

    def __init__(self):
        self.counts = []
        self.finder = self.reader = self.eye_reader = self.portrait_reader = self

    def passes(self, height, width, video):
        return [(height, width, video)]

    def find(self, frame, passes, score):
        return Found(one_face((40, 20, 80, 60)), np.full(1, 40, np.float32))

    def refine(self, frame, faces, *rest):
        self.counts.append(rest[-1])
        return faces


def test_readers_are_timed_in_turn():
    small, large = Timed(), Timed()
    figures = readers.measure({"small": small, "large": large}, np.zeros((90, 160, 3), np.uint8), rounds=2)
    assert large.counts == 3 * [read for k in readers.COUNTS for read in (k, k, k // 2, k // 4)] and not small.counts
    assert figures["found"] == 1 and figures["frame"] == [160, 90] and set(figures["network_ms"]) == {"small", "large"}
    assert all(min(figures[f"{name}_ms"].values()) >= 0 for name in ("face_reader", "eye_reader", "few_faces"))
    large.eye_reader = None
    with pytest.raises(ValueError, match="a face reader, an eye reader and a portrait reader"):
        readers.time_readers(large, np.zeros((9, 9, 3), np.uint8), large.find(None, [], 0), 8)


def test_the_page_tells_of_the_readers_once_they_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "RESULT", tmp_path / "readers.json")
    assert readers.readers() == ""
    figures = {"face_reader_ms": {"0": 0.0, "16": 12.0}, "eye_reader_ms": {"0": 0.0, "16": 4.0}, "few_faces_ms": {"0": 0, "16": 13}}
    figures["network_ms"] = {"small": 16.0, "large": 64.0}
    readers.RESULT.write_text(json.dumps(figures))
    assert "16 with `small` and 64 with `large`" in readers.readers()
    lines = readers.readers().splitlines()
    assert lines[-2] == "| 0 | 0.0 | 0.0 | 0.0 | 0.0 | – | 0 % | 0 % |"
    assert lines[-1] == "| 16 | 12.0 | 13.0 | 4.0 | 16.0 | 1.00 | 50 % | 20 % |"


def test_rig_weights_are_timed():
    figures = rig.measure(load_rig(find_avatar("robot")), rounds=1)
    assert set(figures) == {"targets", "threads", "us_1", "us_100", "us_1000"} and figures["us_1000"] > 0


def test_the_first_call_is_not_measured():
    calls = []
    assert rate(calls.append, 3, each=2) > 0 and calls == [0, 0, 1, 2]


def test_the_table_and_the_curves_of_sizes(tmp_path):
    row = {name: {"aligned_nme": 2.5, "missed": 1} for name in EVALUATION_SETS}
    row |= {"input": [352, 198], "shipped": True, "groups_ap": 0.9, "ms": 12.5}
    curves = {"small": {"352x208": row, "384x224": row | {"shipped": False, "ms": 14.0}}}
    lines = speed_accuracy.table(curves).splitlines()
    assert lines[2].startswith("| **small** | 352x208 | 352x198 | 12.5 | 2.50 (1)") and len(lines) == 4
    pytest.importorskip("matplotlib")
    speed_accuracy.draw_curves(tmp_path / "curves.png", curves)
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_pictures_are_compared_where_something_is_drawn(tmp_path):
    background = np.zeros((4, 4, 3), np.uint8)
    old = np.stack([background])
    old[0, :2] = 100
    new = old.copy()
    new[0, 0, 0] = 105
    np.savez(tmp_path / "old.npz", old, background)
    np.savez(tmp_path / "new.npz", new, background)
    assert drawing.compare(tmp_path / "new.npz", tmp_path / "old.npz") == {
        "percent_above_1": 12.5,
        "percent_above_2": 12.5,
        "percent_above_8": 0.0,
        "mean": 0.625,
    }


def test_the_people_of_the_drawing_stand_side_by_side():
    take = drawing.moment(3)
    assert len(take) == len(drawing.NAMES) and (np.diff(take.translation[:, 0]) > 0).all()


def test_devices_are_measured_or_said_to_be_missing(spots, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(spots)  # with metadata, so that the face reader takes part
    onnx.helper.set_model_props(model, NetworkMetadata("multi_face", Size(160, 96)).to_props())
    onnx.save(model, str(tmp_path / "named.onnx"))
    options = argparse.Namespace(weights=str(tmp_path / "named.onnx"), batches=[1, 2], seconds=0.0)
    frame = np.zeros((90, 160, 3), np.uint8)
    found = {device: devices.measure_device(device, options, frame, spots) for device in ("cpu", "rocm")}
    names = ["network, batch 1", "network, batch 2", "face reader, 64 crops, frames", "predictor, frames", "float32 network, fixed shape"]
    assert list(found["cpu"]) == names and all(row["a_second"] > 0 for row in found["cpu"].values())
    assert "no ROCMExecutionProvider" in found["rocm"]["not_measured"]
    assert len(devices.table(found).splitlines()) == 2 + len(names)


def test_devices_are_compared_with_the_cpu():
    face = one_face((10, 10, 30, 30))
    moved = face.replace(box=face.box + 0.5, expression=face.expression + 0.25)
    figures = devices.agreement(face, moved)
    assert (figures["faces_of_both"], figures["box_px"], figures["pose_deg"], figures["mean_weight"]) == (1, 0.5, 0.0, 0.25)
    assert devices.agreement(face, face[:0])["faces_of_both"] == 0


def test_openvino_is_measured_in_its_own_runtime(spots):
    pytest.importorskip("openvino", reason="needs the package openvino")
    assert devices.measure_openvino([spots], np.zeros((90, 160, 3), np.uint8), 0.0)["spots.onnx"]["a_second"] > 0


def test_models_and_sizes_take_turns(monkeypatch):
    order = []
    monkeypatch.setattr(speed_accuracy, "MIN_FACES_PX", (60.0, 36.0))
    monkeypatch.setattr(speed_accuracy, "make_predictor", lambda name, height_px, _: f"{name} {height_px:.0f}")

    def time_frame(predictor: str, *_) -> runtime.FrameSeconds:
        order.append(predictor)
        return runtime.FrameSeconds(detect=0.0, rig=0.001 * len(order))

    monkeypatch.setattr(speed_accuracy, "time_frame", time_frame)
    found = speed_accuracy.median_ms(["small", "large"], np.zeros((4, 4, 3), np.uint8), None, rounds=8)
    each = 8 // speed_accuracy.VISITS + speed_accuracy.WARM_UP_RUNS
    assert order[::each] == ["small 60", "small 36", "large 60", "large 36"] * speed_accuracy.VISITS
    assert all(len(times) == 2 for times in found.values()) and found["large"][1] > found["small"][0]


def test_damaged_rigs_go_through_every_command_that_reads_one(tmp_path):
    figures = mutated_files.read_rigs(tmp_path, 8)
    assert set(figures) == {"retarget inspect", "retarget inspect --write-map", "retarget stream --names"}
    for row in figures.values():
        assert sum(row["exit_codes"].values()) == 8 and set(row["exit_codes"]) <= {"0", "1"} and row["tracebacks"] == 0
    assert mutated_files.run_quietly(["inspect", "robot"]) == "0" and list(tmp_path.glob("*.glb")) == []
