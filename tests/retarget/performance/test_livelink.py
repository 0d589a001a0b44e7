"""Live Link Face: packets are decoded like Unreal's reader does, CSV files are the app's."""

from __future__ import annotations

import csv
import socket
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.geometry.rotations import matrix_to_quaternion, quaternion_to_matrix, rotation_about
from retarget.performance.livelink import (
    PACKET_NAMES,
    LiveLinkSender,
    angles_to_quaternion,
    encode_packet,
    quaternion_to_angles,
    take_to_values,
)
from retarget.performance.livelink_csv import CSV_NAMES, read_csv, write_csv
from retarget.performance.take import Take
from tests.helpers.characters import make_take

PHONE = Path(__file__).parents[3].parent / "shared" / "cases" / "rigs" / "real_livelink_100rows.csv"

# The app's own header, as its recordings have it.
HEADER = (
    "Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,EyeSquintLeft,"
    "EyeWideLeft,EyeBlinkRight,EyeLookDownRight,EyeLookInRight,EyeLookOutRight,EyeLookUpRight,EyeSquintRight,"
    "EyeWideRight,JawForward,JawRight,JawLeft,JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft,"
    "MouthSmileLeft,MouthSmileRight,MouthFrownLeft,MouthFrownRight,MouthDimpleLeft,MouthDimpleRight,MouthStretchLeft,"
    "MouthStretchRight,MouthRollLower,MouthRollUpper,MouthShrugLower,MouthShrugUpper,MouthPressLeft,MouthPressRight,"
    "MouthLowerDownLeft,MouthLowerDownRight,MouthUpperUpLeft,MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,"
    "BrowOuterUpLeft,BrowOuterUpRight,CheekPuff,CheekSquintLeft,CheekSquintRight,NoseSneerLeft,NoseSneerRight,"
    "TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"
)


def decode(data):
    """As an archive of Unreal's is read, byte by byte: uint8, two texts (int32 length, characters), FQualifiedFrameTime
    (int32 frame, float part, int32 numerator, int32 denominator), uint8 count, floats; all big-endian."""
    at = 0

    def take(kind):
        nonlocal at
        size = struct.calcsize(">" + kind)
        value = struct.unpack(">" + kind, data[at : at + size])
        at += size
        return value if len(value) > 1 else value[0]

    version = take("B")
    texts = []
    for _ in range(2):
        length = take("i")
        texts.append(bytes(take(f"{length}s")).decode())
    frame, part, numerator, denominator = take("ifii")
    values = np.array(take(f"{take('B')}f"), np.float32)
    assert at == len(data)
    return version, *texts, (frame + part) * denominator / numerator, values


def test_packet_is_what_the_engine_reads():
    values = np.linspace(-1, 1, 61).astype(np.float32)
    device = "0b4d0e32-3dd3-5f4a-8a0f-6a7c9b8f1e22"
    version, its_device, subject, time_s, its_values = decode(encode_packet(values, 3661.51, "mfn 7", device))
    assert (version, its_device, subject) == (6, device, "mfn 7") and time_s == pytest.approx(3661.51, abs=1e-6)
    np.testing.assert_array_equal(its_values, values)


def test_packet_at_the_offsets_that_other_readers_have():
    """They take version and the device's length for five bytes, "\\x06\\0\\0\\0$": a device has 36 characters."""
    data = encode_packet(np.arange(61.0), 1.25, "Ann", "0b4d0e32-3dd3-5f4a-8a0f-6a7c9b8f1e22")
    assert struct.unpack("<i", data[:4])[0] == 6 and data[4:5] == b"$"
    assert struct.unpack(">i", data[41:45])[0] == 3 and data[45:48] == b"Ann"
    assert struct.unpack(">ifiib", data[48:65]) == (75, 0.0, 60, 1, 61) and len(data) == 48 + 17 + 61 * 4
    assert struct.unpack(">61f", data[65:]) == tuple(range(61))


def test_two_orders():
    assert ("Timecode,BlendShapeCount," + ",".join(CSV_NAMES)) == HEADER
    assert PACKET_NAMES[14:18] == ("JawForward", "JawLeft", "JawRight", "JawOpen")
    assert PACKET_NAMES[20:23] == ("MouthPucker", "MouthLeft", "MouthRight")
    assert CSV_NAMES[15:17] == ("JawRight", "JawLeft") and CSV_NAMES[21:23] == ("MouthRight", "MouthLeft")
    assert sorted(CSV_NAMES) == sorted(PACKET_NAMES) and len(PACKET_NAMES) == 61


def test_the_columns_hold_what_their_names_say(tmp_path):
    take = make_take(1, 3)
    write_csv(take, tmp_path / "a.csv")
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        for column, name in enumerate(ARKIT_NAMES):
            assert float(row[name[0].upper() + name[1:]]) == pytest.approx(take.coefficients[number, column], abs=1e-7)
        assert float(row["HeadYaw"]) == pytest.approx(quaternion_to_angles(take.rotation)[number, 0], abs=1e-7)
    assert [row["Timecode"] for row in rows] == ["00:00:10:00.000", "00:00:10:02.002", "00:00:10:04.004"]
    assert {row["BlendShapeCount"] for row in rows} == {"61"}


def test_time_codes_are_those_of_a_day(tmp_path):
    """Seconds since 1970, from one second before midnight on: two digits of hours, and the steps stay."""
    take = make_take(1, 120)
    take = replace(take, time_s=1.7e9 // 86400 * 86400 - 1 + np.arange(120) / 60)
    write_csv(take, tmp_path / "a.csv")
    codes = [line.split(",")[0] for line in (tmp_path / "a.csv").read_text().splitlines()[1:]]
    assert codes[0] == "23:59:59:00.000" and codes[60] == "00:00:00:00.000"
    np.testing.assert_allclose(np.diff(read_csv(tmp_path / "a.csv").time_s), 1 / 60, atol=1e-5)


@pytest.mark.parametrize("rate", [5, 24, 25, 29.97, 30, 59.94, 60, 120])
def test_csv_round_trip(rate, tmp_path):
    take = make_take(1, 200, 4)
    take = Take(3599 + np.arange(200) / rate, take.actor, take.coefficients, take.rotation, take.translation)
    write_csv(take[::-1], tmp_path / "a.csv")
    back = read_csv(tmp_path / "a.csv", 1)
    np.testing.assert_allclose(back.time_s, take.time_s, atol=1e-5)
    np.testing.assert_allclose(back.coefficients, take.coefficients, atol=1e-7)
    assert (np.abs((back.rotation * take.rotation).sum(axis=1)) > 1 - 1e-6).all()
    np.testing.assert_array_equal(back.translation, np.tile(np.float32([0, 0, -1]), (200, 1)))


def test_nobody(tmp_path):
    write_csv(Take.empty(), tmp_path / "a.csv")
    assert len(read_csv(tmp_path / "a.csv")) == 0 and take_to_values(Take.empty()).shape == (0, 61)


def test_rate_and_midnight_and_repeats(tmp_path):
    """A recording at 30 time-coded as 30, over midnight, one row twice; columns in another order and spelling."""
    codes = [f"23:59:59:{k:02d}.500" for k in range(30)] + [f"00:00:00:{k:02d}.500" for k in range(10)]
    rows = [f"{code},{k / 100},0.25" for k, code in enumerate(codes)]
    rows.insert(3, rows[2])
    (tmp_path / "a.csv").write_text("timecode,jawOpen,mouth_left\n" + "\n".join(rows) + "\n\n")
    take = read_csv(tmp_path / "a.csv")
    np.testing.assert_allclose(np.diff(take.time_s), 1 / 30, atol=1e-6)
    np.testing.assert_allclose(take.coefficients[:, ARKIT_NAMES.index("jawOpen")], np.arange(40) / 100, atol=1e-7)
    assert (take.coefficients[:, ARKIT_NAMES.index("mouthLeft")] == 0.25).all() and take.coefficients[:, 22].max() == 0


def test_angles():
    """A head turned to the subject's right, down, and tilted to its left shoulder has positive angles; they round trip."""
    for k, (axis, sees) in enumerate([((0, 0, 1), (-1, 0, 0)), ((0, 0, 1), (0, -1, 0)), ((0, 1, 0), (1, 0, 0))]):
        angles = np.zeros(3)
        angles[k] = 0.3
        moved = quaternion_to_matrix(angles_to_quaternion(angles))[0] @ axis
        np.testing.assert_allclose(moved, np.cos(0.3) * np.array(axis) + np.sin(0.3) * np.array(sees), atol=1e-12)
    angles = np.random.default_rng(0).uniform(-1.4, 1.4, (50, 3))
    np.testing.assert_allclose(quaternion_to_angles(angles_to_quaternion(angles)), angles, atol=1e-9)


def test_gaze():
    take = make_take(1)
    gaze = np.zeros((1, 52))
    gaze[0, [ARKIT_NAMES.index("eyeLookOutLeft"), ARKIT_NAMES.index("eyeLookInRight")]] = 1
    gaze[0, ARKIT_NAMES.index("eyeLookUpLeft")] = 0.5
    values = dict(zip(PACKET_NAMES, take_to_values(Take(take.time_s, take.actor, gaze, take.rotation, take.translation))[0]))
    assert values["LeftEyeYaw"] == values["RightEyeYaw"] == pytest.approx(-0.6)
    assert values["LeftEyePitch"] == pytest.approx(-0.28) and values["RightEyePitch"] == 0 == values["LeftEyeRoll"]


def test_head_and_eyes_have_the_same_signs():
    """A head that turns left and up has angles of the same signs as eyes that look left and up."""
    rotation = matrix_to_quaternion(rotation_about("y", np.array([0.3])) @ rotation_about("x", np.array([-0.2])))
    values = take_to_values(Take(np.zeros(1), np.zeros(1, int), looking(Left="OutUp", Right="InUp"), rotation, np.zeros((1, 3))))[0]
    assert values[52:55] == pytest.approx([-0.3, -0.2, 0], abs=1e-6)
    assert (values[[55, 58]] < 0).all() and (values[[56, 59]] < 0).all()


def looking(**directions):
    """Return coefficients (1, 52) with eyeLook* at 1, such as Left="OutUp"."""
    on = [f"eyeLook{way}{side}" for side, ways in directions.items() for way in ("In", "Out", "Up", "Down") if way in ways]
    return np.isin(ARKIT_NAMES, on)[None].astype(float)


@pytest.mark.skipif(not PHONE.is_file(), reason=f"needs {PHONE.name}, a phone recording that is not part of the project")
def test_eye_angles_of_a_phone():
    """Our angles follow those that the app recorded beside the same coefficients."""
    take = read_csv(PHONE)
    with open(PHONE, newline="") as file:
        rows = list(csv.DictReader(file))
    ours = take_to_values(take)
    for name in ("LeftEyeYaw", "RightEyeYaw", "LeftEyePitch", "RightEyePitch"):
        phone = np.array([float(row[name]) for row in rows])
        slope, offset = np.polyfit(ours[:, PACKET_NAMES.index(name)], phone, 1)
        assert 0.9 < slope < 1.1 and abs(offset) < 0.1, name


def test_packets_beside_a_published_decoder():
    pylivelinkface = pytest.importorskip("pylivelinkface", reason="needs pylivelinkface, a decoder from PyPI")
    take = make_take(1)
    values, device = take_to_values(take)[0], "0b4d0e32-3dd3-5f4a-8a0f-6a7c9b8f1e22"
    found, face = pylivelinkface.PyLiveLinkFace.decode(encode_packet(values, 1.25, "mfn 1", device))
    assert found and face.name == "mfn 1" and face.uuid == "$" + device and face.fps == 60
    assert [shape.name for shape in pylivelinkface.FaceBlendShape] == list(PACKET_NAMES)
    for shape in pylivelinkface.FaceBlendShape:
        assert face.get_blendshape(shape) == pytest.approx(values[PACKET_NAMES.index(shape.name)], abs=1e-7)


def test_sender():
    """Everybody on one port, each a subject and a device of their own that stay the same."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sender, take = LiveLinkSender(port=receiver.getsockname()[1]), make_take(3)
        try:
            assert sender.send(take) == 3 and sender.send(take[:1]) == 1 and sender.send(Take.empty()) == 0
        finally:
            sender.close()
        got = [decode(receiver.recv(2048)) for _ in range(4)]
    assert [subject for _, _, subject, _, _ in got] == ["mfn 1", "mfn 3", "mfn 5", "mfn 1"]
    assert got[0][1] == got[3][1] and len({device for _, device, _, _, _ in got}) == 3
    assert all(len(device) == 36 for _, device, _, _, _ in got)
    np.testing.assert_array_equal([values for *_, values in got[:3]], take_to_values(take))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_a_recording_that_was_cut_off(share, tmp_path, caplog):
    """The disk was full: the file ends somewhere in its last row."""
    write_csv(make_take(1, 30), tmp_path / "a.csv")
    whole, data = read_csv(tmp_path / "a.csv"), (tmp_path / "a.csv").read_bytes()
    start = data.rstrip().rindex(b"\n") + 1
    (tmp_path / "a.csv").write_bytes(data[: start + round(share * (len(data) - 10 - start))])
    take = read_csv(tmp_path / "a.csv")
    assert len(take) == 29 and (take.coefficients == whole.coefficients[:29]).all()
    (record,) = caplog.records
    assert record.getMessage() == f"{tmp_path / 'a.csv'}: the file ends early: its last row (31) is incomplete and was left out"


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "expected the columns"),
        ("Timecode,JawOpen\n00:00,0", "row 2 cannot be read"),
        ("a,b\n1,2\n", "expected the columns"),
        ("Timecode,JawOpen\n00:00:01:02,x\n", "row 2 cannot be read"),
        ("Timecode,JawOpen\n00:00:01:02\n", "row 2 cannot be read"),
        ("Timecode,JawOpen\n00:00:01:02,0\n00:00,0\n", "row 3 cannot be read"),
        ("Timecode,JawOpen\n00:00:01:02,nan\n", "row 2 cannot be read"),
        ("Timecode,JawOpen\n00:00:1e300:02,0\n", "row 2 cannot be read"),
        ("Timecode,JawOpen\n" + "1" * 200_000 + ",0\n", "not a CSV"),
        ("Timecode,JawOpen\n\udcff\udcfe,0\n", "not a CSV"),
    ],
)
def test_bad_csv_is_one_line(text, message, tmp_path):
    (tmp_path / "a.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=message) as caught:
        read_csv(tmp_path / "a.csv")
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path))


def test_refuses():
    with pytest.raises(ValueError, match="port 0: expected 1 to 65535"):
        LiveLinkSender(port=0)
    with pytest.raises(ValueError, match="no such host"):
        LiveLinkSender("no such host")
    with pytest.raises(ValueError, match="holds one person, got 2"):
        write_csv(make_take(2), "never.csv")


TWO = [("00:00:01:00.000", "0,5"), ("00:00:01:01.000", "0,75")]


@pytest.mark.parametrize("between, encoding", [(";", "utf-8-sig"), ("\t", "utf-16"), (";", "utf-8")])
def test_csv_of_a_spreadsheet(between, encoding, tmp_path):
    """Decimal commas, other separators, a byte-order mark, lines that end as on Windows."""
    lines = [between.join(("Timecode", "BlendShapeCount", "JawOpen", "Remark")), *(between.join((c, "61", v, "")) for c, v in TWO)]
    (tmp_path / "a.csv").write_bytes("\r\n".join([*lines, "", between * 3, ""]).encode(encoding))
    take = read_csv(tmp_path / "a.csv")
    assert take.coefficients[:, ARKIT_NAMES.index("jawOpen")].tolist() == [0.5, 0.75] and take.coefficients.sum() == 1.25
    np.testing.assert_allclose(take.time_s, [1, 1 + 1 / 60])


def test_rows_without_a_face_are_left_out(tmp_path):
    rows = ["00:00:01:00.1,0", "00:00:01:01.1,61,0.5", "00:00:01:02.1,0,", "00:00:01:03.1,61,0.25"]
    (tmp_path / "a.csv").write_text("Timecode,BlendShapeCount,JawOpen\n" + "\n".join(rows))
    assert read_csv(tmp_path / "a.csv").coefficients[:, ARKIT_NAMES.index("jawOpen")].tolist() == [0.5, 0.25]


@pytest.mark.parametrize("start_s", [0.1, 0.8])
@pytest.mark.parametrize("rate, rows_a_second", [(60, 60), (60, 30), (30, 60), (25, 60), (24, 60)])
def test_rate_of_a_short_recording(rate, rows_a_second, start_s, tmp_path):
    """0.4 s: within one second, and over the end of one. A phone never makes more than 60 rows a second."""
    times = start_s + np.arange(0, 0.4, 1 / rows_a_second)
    rows = [f"00:00:{int(t):02d}:{t % 1 * rate:06.3f},0.5" for t in times]
    (tmp_path / "a.csv").write_text("Timecode,JawOpen\n" + "\n".join(rows))
    np.testing.assert_allclose(np.diff(read_csv(tmp_path / "a.csv").time_s), 1 / rows_a_second, atol=1e-4)


def test_rate_that_is_given(tmp_path):
    (tmp_path / "a.csv").write_text("Timecode,JawOpen\n00:00:01:00.000,0\n00:00:01:01.000,1\n")
    assert np.diff(read_csv(tmp_path / "a.csv").time_s) == pytest.approx(1 / 60)
    assert np.diff(read_csv(tmp_path / "a.csv", code_rate=30).time_s) == pytest.approx(1 / 30)


CLOCKS = [("timeCode", ["0.0", "0.04", "0.08"], 0.04), ("Timecode", "123", 1 / 60), ("time_s", "123", 1)]


@pytest.mark.parametrize("clock, codes, step", CLOCKS)
def test_times_as_numbers(clock, codes, step, tmp_path):
    """Audio2Face's columns have a prefix, other programs count frames."""
    rows = [f"{code},0.5,0.1" for code in codes]
    (tmp_path / "a.csv").write_text(f"{clock},blendShapes.JawOpen,emotion_values.joy\n" + "\n".join(rows))
    take = read_csv(tmp_path / "a.csv")
    np.testing.assert_allclose(np.diff(take.time_s), step, rtol=1e-6)
    assert take.coefficients[:, ARKIT_NAMES.index("jawOpen")].tolist() == [0.5] * 3
