"""Read and write takes: round trips, files of other programs, and one-line messages for bad files."""

from __future__ import annotations

import errno
import json
import socket
from dataclasses import replace

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.cli import main
from retarget.geometry.rotations import quaternion_to_matrix
from retarget.gltf.document import read_glb
from retarget.performance.files import read_take, to_jsonl, write_take
from retarget.performance.livelink import LiveLinkSender
from retarget.performance.stream import PROGRAMS, avatar_for, open_sender, play
from retarget.performance.take import Footage, Take
from tests.helpers.characters import make_take

JAW, BLINK = ARKIT_NAMES.index("jawOpen"), ARKIT_NAMES.index("eyeBlinkLeft")


def same(a, b, atol=1e-6):
    order = [np.lexsort((take.actor, take.time_s)) for take in (a, b)]
    a, b = a[order[0]], b[order[1]]
    assert (a.actor == b.actor).all() and len(a) == len(b)
    for name in ("time_s", "coefficients", "translation"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=atol)
    assert (np.abs((a.rotation * b.rotation).sum(axis=1)) > 1 - 1e-6).all()


def wrote(tmp_path, data, name="a.json"):
    path = tmp_path / name
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.mark.parametrize("take", [make_take(3, 5), make_take(1), Take.empty()])
@pytest.mark.parametrize("ending", ["npz", "jsonl"])
def test_round_trip(take, ending, tmp_path):
    assert write_take(take, tmp_path / f"a.{ending}") == [tmp_path / f"a.{ending}"]
    same(read_take(tmp_path / f"a.{ending}"), take)
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{ending}"]


def test_json_lines_keep_the_footage(tmp_path):
    footage = Footage(640, 480, 700.5, 25.0, "clip.mp4")
    write_take(replace(make_take(2, 2), footage=footage), tmp_path / "a.jsonl")
    assert read_take(tmp_path / "a.jsonl").footage == footage
    assert read_take(wrote(tmp_path, {"fps": 24, "frames": [{"coefficients": {"jawOpen": 1}}] * 3})).footage == Footage(fps=24)


@pytest.mark.parametrize("cut", [1, 2, 40, 900])
def test_json_lines_that_were_cut_off(cut, tmp_path, caplog):
    """The disk was full: the file ends somewhere in its last line. Only this line may be incomplete."""
    take = make_take(1, 5)
    lines = to_jsonl(take).splitlines()
    path = wrote(tmp_path, "\n".join([*lines[:-1], lines[-1][:-cut]]), "a.jsonl")
    same(read_take(path), take[:4])
    (record,) = caplog.records
    assert record.getMessage() == f"{path}: the file ends early: its last line (5) is incomplete and was left out"
    for text in ("\n".join([lines[0], lines[1][:-cut], lines[2]]), "\n".join([lines[0], lines[1][:-cut], ""]), lines[0][:-cut]):
        with pytest.raises(ValueError, match="not a take as JSON"):
            read_take(wrote(tmp_path, text, "b.jsonl"))
    with pytest.raises(ValueError, match="not a take as JSON"):
        read_take(path.rename(tmp_path / "a.json"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_recordings_that_end_inside_a_character(encoding, tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"time": 0, "jawOpen": 1}\n{"time": 1, "jawOpen": 1, "name": "ö'.encode(encoding)[:-1])
    assert len(read_take(path)) == 1
    path = tmp_path / "a.csv"
    path.write_bytes("time_s,JawOpen,Name\n0,1,a\n1,0.2ö".encode(encoding)[:-1])
    assert len(read_take(path)) == 1 and [record.getMessage().split(": ")[1] for record in caplog.records] == ["the file ends early"] * 2


def test_several_people_as_csv(tmp_path):
    take = make_take(2, 4)
    files = write_take(take, tmp_path / "clip.csv")
    assert [file.name for file in files] == ["clip-person-1.csv", "clip-person-3.csv"]
    back = read_take(files[1])
    np.testing.assert_allclose(back.coefficients, take[take.actor == 3].coefficients, atol=1e-6)
    assert write_take(take[take.actor == 1], tmp_path / "one.csv") == [tmp_path / "one.csv"]
    assert write_take(Take.empty(), tmp_path / "none.csv") == [tmp_path / "none.csv"]
    with pytest.raises(ValueError, match=r"a take's file name that ends in \.npz, \.csv, \.jsonl"):
        write_take(take, tmp_path / "a.fbx")


def test_mediapipe_from_python(tmp_path):
    """FaceLandmarkerResult as `dataclasses.asdict` gives it: frames with several faces, matrices in centimeters."""
    turned = np.array([[0, 0, 1, 5], [0, 1, 0, -3], [-1, 0, 0, -60], [0, 0, 0, 1.0]])
    faces = [
        [
            {"index": 0, "score": 1e-6, "display_name": "", "category_name": "_neutral"},
            {"index": 25, "score": 0.4, "display_name": "", "category_name": "jawOpen"},
        ],
        [{"index": 9, "score": 0.7, "category_name": "eyeBlinkLeft"}],
    ]
    frames = [
        {
            "timestamp_ms": 0,
            "face_blendshapes": faces,
            "facial_transformation_matrixes": [turned.tolist(), np.eye(4).tolist()],
        },
        {"timestamp_ms": 33, "face_blendshapes": faces[:1], "facial_transformation_matrixes": [turned.tolist()]},
        {"timestamp_ms": 66, "face_blendshapes": [], "facial_transformation_matrixes": []},
    ]
    take = read_take(wrote(tmp_path, frames))
    assert take.time_s.tolist() == [0, 0, pytest.approx(0.033)] and take.actor.tolist() == [0, 1, 0]
    np.testing.assert_allclose(take.coefficients[:, JAW], [0.4, 0, 0.4], atol=1e-6)
    np.testing.assert_allclose(take.coefficients[:, BLINK], [0, 0.7, 0], atol=1e-6)
    np.testing.assert_allclose(take.translation[0], (0.05, -0.03, -0.6), atol=1e-7)
    np.testing.assert_allclose(take.rotation[0], (0, np.sqrt(0.5), 0, np.sqrt(0.5)), atol=1e-6)


@pytest.mark.parametrize("more", [{}, {"score": 0.9}])
def test_faces_with_names_are_faces(more, tmp_path):
    faces = [{"name": name, **more, "coefficients": {"jawOpen": value}} for name, value in (("Ann", 0.4), ("Bob", 0.7))]
    take = read_take(wrote(tmp_path, [{"faces": faces}]))
    assert take.actor.tolist() == [0, 1]
    np.testing.assert_allclose(take.coefficients[:, JAW], [0.4, 0.7], atol=1e-6)


def test_the_categories_of_one_face(tmp_path):
    frame = {"face_blendshapes": [{"category_name": "_neutral", "score": 0}, {"category_name": "jawOpen", "score": 0.4}]}
    take = read_take(wrote(tmp_path, [frame]))
    assert len(take) == 1 and take.coefficients[0, JAW] == pytest.approx(0.4)


def test_mediapipe_from_a_browser(tmp_path):
    """Camel case, categories within an object, matrices by column."""
    matrix = np.eye(4)
    matrix[:3, 3] = 1, 2, -50
    frame = {
        "faceBlendshapes": [{"headIndex": -1, "categories": [{"categoryName": "jawOpen", "score": 0.5}]}],
        "facialTransformationMatrixes": [{"rows": 4, "columns": 4, "data": matrix.T.ravel().tolist()}],
    }
    take = read_take(wrote(tmp_path, {"fps": 60, "frames": [frame, frame]}))
    np.testing.assert_allclose(take.translation[1], (0.01, 0.02, -0.5), atol=1e-7)
    assert take.time_s[1] == pytest.approx(1 / 60) and take.coefficients[1, JAW] == 0.5


def test_arkit(tmp_path):
    """Coefficients by name in the usual shapes; halves are averaged; a transform in meters, by column."""
    matrix = np.eye(4)
    matrix[:3, 3] = 0.1, 0.2, -0.5
    frames = [
        {"time": 1.0, "blendShapes": {"browInnerUp_L": 0.2, "browInnerUp_R": 0.6, "JawOpen": 2.0}},
        {"time": 1.5, "blendShapes": {"jawOpen": 0.1}, "transform": matrix.T.ravel().tolist()},
    ]
    take = read_take(wrote(tmp_path, frames))
    assert take.coefficients[0, ARKIT_NAMES.index("browInnerUp")] == pytest.approx(0.4)
    assert take.coefficients[0, JAW] == 1 and take.time_s.tolist() == [1, 1.5]
    np.testing.assert_allclose(take.translation, [(0, 0, -1), (0.1, 0.2, -0.5)], atol=1e-7)
    for data in ({"jawOpen": 0.3}, [{"jawOpen": 0.3}], {"frames": [{"weights": {"jawOpen": 0.3}}]}):
        assert read_take(wrote(tmp_path, data)).coefficients[0, JAW] == pytest.approx(0.3)
    lines = "\n".join(json.dumps({"timestamp_ms": 20 * k, "jaw_open": k / 10}) for k in range(4))
    assert read_take(wrote(tmp_path, lines, "a.jsonl")).time_s[3] == pytest.approx(0.06)


def test_audio2face(tmp_path):
    data = {"exportFps": 30.0, "facsNames": ["jawOpen", "EyeBlinkLeft"], "weightMat": [[0.1, 0.2], [0.3, 0.4]]}
    take = read_take(wrote(tmp_path, data))
    np.testing.assert_allclose(take.coefficients[:, [JAW, BLINK]], [[0.1, 0.2], [0.3, 0.4]], atol=1e-7)


@pytest.mark.parametrize(
    "data, message",
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("3", "expected a list of frames, got int"),
        ("[3]", "frame 0 is int"),
        ('[{"jawOpen": NaN}]', "'nan' is no finite number"),
        ('[{"jawOpen": 1e999}]', "'inf' is no finite number"),
        ('[{"jawOpen": "wide"}]', "'wide' is no finite number"),
        ('[{"smile": 1}]', "52 coefficients"),
        ('[{"jawOpen": 1, "rotation": [0, 0, 0, 0]}]', "unit quaternions"),
        ('[{"jawOpen": 1, "translation": [0]}]', "expected 3 finite numbers"),
        ('[{"jawOpen": 1, "transform": {"data": 3}}]', "expected 16"),
        ('[{"jawOpen": 1, "transform": {}}]', "is missing or of the wrong type"),
        ('[{"weights": [1, 2]}]', "expected a name for each"),
        ('[{"jawOpen": 1, "actor": 1e99}]', "32 bits"),
        ('{"fps": 0, "frames": []}', "a rate of 0"),
        ('[{"jawOpen": 1, "time": "soon"}]', r"time is 'soon' \(expected a number, a time such as 12:30:01.5 or .*leave times out"),
        ('[{"jawOpen": 1, "t": "", "time": "99:99"}]', "time is '99:99' .expected a number"),
        ('[{"jawOpen": 1, "time": "nan"}]', "time is 'nan' .expected a number"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_bad_json_is_one_line(data, message, tmp_path):
    path = wrote(tmp_path, data)
    with pytest.raises(ValueError, match=message) as caught:
        read_take(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{path}: not a take as JSON")


def test_json_in_percents(tmp_path, caplog):
    take = read_take(wrote(tmp_path, [{"jawOpen": value} for value in (0, 40, 100)]))
    np.testing.assert_allclose(take.coefficients[:, JAW], [0, 0.4, 1], atol=1e-6)
    assert "weights up to 100 were read as percents" in caplog.text
    with pytest.raises(ValueError, match="weights up to 255"):
        read_take(wrote(tmp_path, [{"jawOpen": 255}]))


@pytest.mark.parametrize("bad", [
    '{"jawOpen": null}', '{"jawOpen": NaN}', "null", '{"jawOpen": 1, "translation": [0]}',
    '{"time_s": "soon", "jawOpen": 1}', '{"time_s": NaN, "jawOpen": 1}',
])  # fmt: skip
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_single_bad_frames_are_left_out(bad, name, tmp_path, caplog):
    frames = ['{"jawOpen": 0.5}', '{"jawOpen": 0.5}', bad, '{"jawOpen": 0.5}']
    if name == "a.jsonl" or bad != "null":
        text = "\n".join(frames) if name == "a.jsonl" else f"[{','.join(frames)}]"
        take = read_take(wrote(tmp_path, text, name))
        np.testing.assert_allclose(take.time_s, np.array([0, 1, 3]) / 30)
        assert "1 of 4 frames cannot be read and were left out, the first is frame 2" in caplog.text
    with pytest.raises(ValueError, match="not a take as JSON"):
        read_take(wrote(tmp_path, f"[{frames[0]}, {bad}, {bad}]"))


def face_of(value=0.5, **ids):
    return {**ids, "coefficients": {"jawOpen": value}}


@pytest.mark.parametrize(
    "first, second, actors",
    [
        ([{"id": 7}, {"id": 3}], [{"id": 3}], [7, 3, 3]),
        ([{"face_id": 7.0}, {"face_id": 3}], [{"face_id": 3}], [7, 3, 3]),
        ([{"id": 7, "actor": 1}, {"id": 3, "actor": 0}], [{"id": 3, "actor": 0}], [1, 0, 0]),
        ([{"id": "Ann"}, {"id": "Bob"}], [{"id": "Bob"}], [0, 1, 1]),
        ([{"id": 1 << 40}, {"id": 1 << 41}], [{"id": 1 << 41}], [0, 1, 1]),
        ([{"track": 5}, {"track": 2}], [{"track": 2}], [5, 2, 2]),
        ([{"track": 0}, {"track": -1}], [{"track": -1}, {"track": 0}], [0, 2, 1, 0]),
        ([{"id": 0}, {"id": 1}], [{"id": 2}], [0, 1, 0]),  # a number of its own for each face
        ([{"id": None}, {"id": True}], [{}], [0, 1, 0]),
        ([{"id": 0}, {"id": 0}], [{"id": 1}, {"id": 1}], [0, 1, 0, 1]),  # the number of the frame
        ([{"face_id": 0}, {"face_id": 0}], [{"face_id": 0}], [0, 1, 0]),  # a number of what it is
    ],
)
def test_people_keep_their_numbers(first, second, actors, tmp_path):
    take = read_take(wrote(tmp_path, [{"id": k, "faces": [face_of(**ids) for ids in faces]} for k, faces in enumerate((first, second))]))
    assert take.actor.tolist() == actors


def test_the_number_of_a_frame_is_no_person(tmp_path):
    category = [{"category_name": "jawOpen", "score": 0.4}]
    for frame in (face_of(), {"face_blendshapes": category}):
        take = read_take(wrote(tmp_path, [{"id": k // 2, **frame} for k in range(4)]))
        assert take.actor.tolist() == [0] * 4


def test_commands(face_path, tmp_path, capsys):
    take = make_take(2, 30)
    take.save(tmp_path / "a.npz")
    assert main(["convert", str(tmp_path / "a.npz"), str(tmp_path / "a.csv")]) == 0
    one = tmp_path / "a-person-1.csv"
    assert main(["animate", str(one), str(face_path), "--out", str(tmp_path / "all.glb"), "--tolerance", "0"]) == 0
    assert main(["animate", str(one), str(face_path), "--tolerance", "0.9"]) == 0
    assert (tmp_path / "a-person-1.glb").stat().st_size < (tmp_path / "all.glb").stat().st_size
    assert read_glb(tmp_path / "all.glb").document["animations"]
    (tmp_path / "b.jsonl").write_text(to_jsonl(take))
    assert main(["animate", str(tmp_path / "b.jsonl"), str(face_path)]) == 0
    out = capsys.readouterr().out
    assert "2 people, 60 samples" in out and "1 characters, 30 samples" in out and "b.glb: 2 characters" in out
    assert main(["convert", str(tmp_path / "a.npz"), str(tmp_path / "a.fbx")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_stream(tmp_path, capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        make_take(2, 3).save(tmp_path / "a.npz")
        port = str(receiver.getsockname()[1])
        assert main(["stream", str(tmp_path / "a.npz"), "--to", "livelink", "--port", port]) == 0
        assert [len(receiver.recv(2048)) for _ in range(2)] == [1 + 4 + 36 + 4 + 5 + 16 + 1 + 244] * 2
    assert " moments sent, " in capsys.readouterr().out  # all three, unless the machine is busy
    with pytest.raises(ValueError, match="expected vmc or livelink"):
        open_sender("vts")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_break_of_the_network_ends_no_stream(program, monkeypatch, caplog):
    class BreakingSocket(socket.socket):
        broken = True

        def sendto(self, data, address):
            if self.broken:
                raise OSError(errno.ENETUNREACH, "Network is unreachable")
            return super().sendto(data, address)

    monkeypatch.setattr("retarget.performance.udp.socket.socket", BreakingSocket)
    sender, take = open_sender(program, people=2), make_take(2, 3)
    try:
        assert play(take, sender) == (0, 0, 3) and sender.send(take[:2]) == 0
        assert [record.getMessage().split(": ", 1)[1] for record in caplog.records] == [
            "Network is unreachable; what cannot be sent is lost, sending goes on"
        ]
        BreakingSocket.broken = False
        assert sender.send(take[take.time_s == take.time_s[0]]) == 2
    finally:
        sender.close()
    with pytest.raises(ValueError, match="no such host"):
        open_sender(program, "no.such.host.invalid")


def test_late_moments_are_left_out(monkeypatch):
    """A sender that needs 0.1 s is late after the first of ten moments within 0.09 s; only the last one is sent."""
    import time

    sender = LiveLinkSender()
    monkeypatch.setattr(LiveLinkSender, "send", lambda self, take: time.sleep(0.1) or 1)
    take = make_take(1, 10)
    quick = Take(np.arange(10) / 100, take.actor, take.coefficients, take.rotation, take.translation)
    assert play(quick, sender) == (2, 8, 0) and play(Take.empty(), sender) == (0, 0, 0)
    sender.close()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_as_windows_writes_it(encoding, tmp_path):
    (tmp_path / "a.json").write_bytes('[\r\n{"jawOpen": 0.5}\r\n]\r\n'.encode(encoding))
    assert read_take(tmp_path / "a.json").coefficients[:, JAW].tolist() == [0.5]


CLOCKS = [("timestamp", 0.02, 1), ("timestamp", 33, 1e-3), ("t", 33_366, 1e-6), ("time", 1.0, 1), ("time_s", 33, 1)]


@pytest.mark.parametrize("key, step, unit", CLOCKS)
def test_times_in_whatever_unit(key, step, unit, tmp_path):
    """MediaPipe's time stamps are thousandths or millionths of seconds; which, their steps say."""
    frames = [{key: 1000 + k * step, "blendshapes": {"jawOpen": 0.5}} for k in range(4)]
    np.testing.assert_allclose(np.diff(read_take(wrote(tmp_path, frames)).time_s), step * unit, rtol=1e-6)
    assert read_take(wrote(tmp_path, frames[:1])).time_s.tolist() == [1000]


TEXTS = [
    ("time", ["0.000", "0.100", " 2e-1 "], [0, 0.1, 0.2]),
    ("timestamp", ["1000", "1033", "1066"], [1, 1.033, 1.066]),
    ("timestamp_ms", ["0", "10000", "20000"], [0, 10, 20]),
    ("time", ["2024-05-01T12:00:00.000", "2024-05-01T12:00:00.100", "2024-05-01T12:00:20"], [1714564800, 1714564800.1, 1714564820]),
    ("timestamp_ms", ["2024-05-01T12:00:00Z", "2024-05-01T14:00:00.250+02:00"], [1714564800, 1714564800.25]),
    ("time", ["", " ", ""], [0, 1 / 30, 2 / 30]),
    ("timestamp_ms", ["12:30:01.5", "12:30:02", "23:59:59", "0:00:00,5"], [45001.5, 45002, 86399, 86400.5]),
    ("time", ["00:00:00:28", "00:00:00:29", "00:00:01:00", "00:00:01;01.5"], [28 / 30, 29 / 30, 1, 1.05]),
]


@pytest.mark.parametrize("key, texts, expected_s", TEXTS)
def test_times_as_text(key, texts, expected_s, tmp_path):
    """Numbers have the units that they have without quotes. A date and time counts in seconds since 1970, by default in UTC.

    Time codes are read as those of a CSV file: their rate is found from the steps, and midnight does not turn them back.
    """
    take = read_take(wrote(tmp_path, [{key: text, "jawOpen": 0.5} for text in texts]))
    np.testing.assert_allclose(take.time_s, expected_s, rtol=0, atol=1e-5)


def test_numbers_go_before_text(tmp_path):
    frames = [{"time": "soon", "timestamp": k / 10, "jawOpen": 0.5} for k in range(3)]
    np.testing.assert_allclose(read_take(wrote(tmp_path, frames)).time_s, [0, 0.1, 0.2])


def test_a_time_that_can_be_read_goes_before_one_that_cannot(tmp_path):
    frames = [{"time": f"frame_{k}", "t": "", "timestamp": f"{k / 10}", "jawOpen": 0.5} for k in range(3)]
    np.testing.assert_allclose(read_take(wrote(tmp_path, frames)).time_s, [0, 0.1, 0.2])


def test_faces_of_a_picture(tmp_path):
    """What `mfn detect` writes: a camera's axes, pixels, a picture's size."""
    up = np.diag([1.0, -1, -1]).tolist()  # straight into the camera
    faces = [{"score": 0.9, "rotation": up, "scale": 1000.0, "center": [x, 260], "expression": {"jawOpen": 0.5}} for x in (640, 840)]
    take = read_take(wrote(tmp_path, {"picture": "a.jpg", "width": 1280, "height": 720, "faces": faces}))
    np.testing.assert_allclose(take.translation, [[0, 0.1, -1.536], [0.2, 0.1, -1.536]], rtol=1e-6)
    directions = quaternion_to_matrix(take.rotation)[:, :, 2]  # towards the camera, from wherever they stand
    np.testing.assert_allclose(directions, -take.translation / np.linalg.norm(take.translation, axis=1, keepdims=True), atol=1e-6)
    assert take.actor.tolist() == [0, 1] and take.coefficients[:, JAW].tolist() == [0.5, 0.5]


def test_a_lost_bundle_of_vmc_keeps_no_other_back(monkeypatch):
    tried = []

    class LosesTheFirst(socket.socket):
        def sendto(self, data, address):
            tried.append(data)
            if len(tried) == 1:
                raise OSError(errno.ENOBUFS, "No buffer space available")
            return super().sendto(data, address)

    monkeypatch.setattr("retarget.performance.udp.socket.socket", LosesTheFirst)
    sender, take = open_sender("vmc", avatar=avatar_for("arkit")), make_take(1)
    try:
        lost = sender.send(take)
        lost_tries = len(tried)
        assert lost == 0 and sender.send(take) == 1
        assert lost_tries == len(tried) - lost_tries > 1, "all bundles of a sample are sent"
    finally:
        sender.close()
