"""iFacialMocap: text in the app's two data versions, against a decoder that is written from the published format alone."""

from __future__ import annotations

import errno
import socket
import threading
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.cli import main
from retarget.geometry.rotations import quaternion_to_matrix
from retarget.performance.files import read_take, write_take
from retarget.performance.ifacialmocap import decode, encode, from_text, receive
from retarget.performance.livelink import take_to_values
from retarget.performance.stream import open_sender
from retarget.performance.take import Take
from retarget.performance.udp import UdpTarget
from tests.helpers.characters import make_take

# A short sample in the form that the app's page for developers shows: the subject looks down and a little inwards.
PHONE = (
    "mouthSmile_R-40|eyeLookDown_L-17|eyeBlink_L-7|tongueOut-0|jawRight-3|mouthLeft-1|browInnerUp-20|jawOpen-12|"
    "=head#-21.5,-6.0,-6.6,-0.03,-0.1,-0.66|rightEye#6.03,2.44,0.26|leftEye#6.03,-1.67,-0.18|"
)


def published(text, mark):
    """Read a sample as the app's page describes it: weights by name, and the numbers of head, right and left eye."""
    weights, places = {}, {}
    for field in text.split("|"):
        if "#" in field:
            name, numbers = field.split("#")
            places[name] = [float(number) for number in numbers.split(",")]
        elif field:
            name, value = field.split(mark)
            weights[name] = int(value)
    return weights, places


@pytest.mark.parametrize("version, mark", [(1, "-"), (2, "&")])
def test_what_a_receiver_reads(version, mark):
    take = make_take(1)
    weights, places = published(encode(take, 0, version), mark)
    assert len(weights) == 52 and set(places) == {"=head", "rightEye", "leftEye"}
    assert weights["eyeBlink_L"] == round(100 * take.coefficients[0, ARKIT_NAMES.index("eyeBlinkLeft")])
    assert {"jawLeft", "mouthRight", "browInnerUp", "mouthSmile_R", "tongueOut"} < set(weights)
    np.testing.assert_allclose(places["=head"][3:], take.translation[0], atol=1e-6)
    x, y, z = np.deg2rad(places["=head"][:3])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    np.testing.assert_allclose(about_y @ about_x @ about_z, quaternion_to_matrix(take.rotation[0]), atol=1e-6)


def test_eyes_turn_as_the_phone_says():
    """Down is a positive X; to the subject's left is a positive Y of both eyes."""
    look = np.isin(ARKIT_NAMES, ["eyeLookDownLeft", "eyeLookDownRight", "eyeLookOutLeft", "eyeLookInRight"])[None] * 0.5
    take = make_take(1)
    _, places = published(encode(Take(take.time_s, take.actor, look, take.rotation, take.translation), 0, 1), "-")
    assert places["leftEye"] == places["rightEye"] == [pytest.approx(16, abs=1), pytest.approx(17, abs=1), 0]


VERSION_2 = PHONE.replace("-40|", "&40|").replace("_L-", "_L&")


@pytest.mark.parametrize("text", [PHONE, VERSION_2, "trackingStatus-1|" + PHONE + "___iFacialMocap"])
def test_reading(text):
    sample = decode(text)
    values = dict(zip(ARKIT_NAMES, sample.coefficients.tolist(), strict=True))
    assert values["mouthSmileRight"] == pytest.approx(0.4) and values["eyeBlinkLeft"] == pytest.approx(0.07)
    assert values["jawRight"] == pytest.approx(0.03) and values["mouthLeft"] == pytest.approx(0.01) and values["mouthSmileLeft"] == 0
    nose = quaternion_to_matrix(sample.rotation) @ (0, 0, 1)
    assert nose[1] > 0.3 and nose[0] < -0.05, "a negative X looks up, a negative Y to the subject's right"
    np.testing.assert_allclose(sample.position, (-0.03, -0.1, -0.66))


def test_negative_weights_of_version_2_are_no_negative_coefficients():
    assert decode("jawOpen&-12|mouthPucker&30|").coefficients.sum() == pytest.approx(0.3)
    assert decode("trackingStatus&0|") is None and decode("") is None


def test_files(tmp_path):
    """One line a sample, a file for each person. Weights are whole percents."""
    take = make_take(2, 4)
    files = write_take(take, tmp_path / "a.txt")
    assert [file.name for file in files] == ["a-person-1.txt", "a-person-3.txt"]
    back, one = read_take(files[1]), take[take.actor == 3]
    np.testing.assert_allclose(back.time_s, one.time_s, atol=1e-6)
    np.testing.assert_allclose(back.coefficients, one.coefficients, atol=0.0051)
    np.testing.assert_allclose(back.translation, one.translation, atol=1e-6)
    assert (np.abs((back.rotation * one.rotation).sum(axis=1)) > 1 - 1e-6).all()
    assert write_take(Take.empty(), tmp_path / "b.txt") and len(read_take(tmp_path / "b.txt")) == 0


def test_recorded_datagrams_have_no_time():
    take = from_text(PHONE + "\n\n" + PHONE + "___iFacialMocap" + PHONE, "a.txt")
    np.testing.assert_allclose(take.time_s, np.arange(3) / 60)


@pytest.mark.parametrize(
    "text, message",
    [("Dear Ann", "line 1 is no iFacialMocap sample"), (f"{PHONE}\n=head#1,2|jawOpen-3", "line 2: =head#1,2: expected 6 numbers")],
)
def test_bad_files_are_one_line(text, message, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_take(tmp_path / "a.txt")
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize("program, mark", [("ifacialmocap", "-"), ("ifacialmocap-v2", "&")])
def test_sender(program, mark):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sender, take = open_sender(program, port=receiver.getsockname()[1]), make_take(2)
        try:
            assert sender.send(take) == 1 and sender.send(Take.empty()) == 0
        finally:
            sender.close()
        text = receiver.recv(4096).decode()
    assert text == encode(take, 0, 1 if mark == "-" else 2) and f"jawOpen{mark}" in text and len(text) < 1472


def phone(port, answers):
    """Return a thread that waits for the request, then sends samples to the one who asked, as the app does."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.2", port))
    listener.settimeout(10)

    def answer():
        with listener:
            request, asker = listener.recvfrom(200)
            assert request.startswith(b"iFacialMocap_")
            for text in answers:
                listener.sendto(text.encode(), asker)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_receiving():
    port = free_port()
    try:
        thread = phone(port, ["noise", PHONE, PHONE])
    except OSError:
        pytest.skip("this machine has no second loopback address")
    samples = receive("127.0.0.2", None, port, "127.0.0.1")
    first, second = next(samples), next(samples)
    samples.close()
    thread.join()
    assert first.time_s == 0 <= second.time_s and first.coefficients[ARKIT_NAMES.index("jawOpen")] == pytest.approx(0.12)


def test_both_phone_apps_turn_the_eyes_alike():
    take = make_take(1)
    coefficients = np.zeros((1, len(ARKIT_NAMES)), np.float32)
    coefficients[0, [ARKIT_NAMES.index(name) for name in ("eyeLookOutLeft", "eyeLookInRight", "eyeLookDownRight")]] = 1, 0.5, 1
    take = replace(take, coefficients=coefficients)
    _, places = published(encode(take, 0), "-")
    left_yaw, left_pitch, _, right_yaw, right_pitch, _ = np.rad2deg(take_to_values(take)[0, -6:])
    assert places["leftEye"][:2] == pytest.approx([left_pitch, -left_yaw], abs=1e-4)
    assert places["rightEye"][:2] == pytest.approx([right_pitch, -right_yaw], abs=1e-4) and left_yaw != 0 != right_pitch


class BrokenNetwork:
    """A socket that cannot send; between two samples it cannot receive either."""

    def __init__(self):
        self.asked, self.received = 0, iter([PHONE.encode(), OSError(errno.ENETDOWN, "Network is down"), PHONE.encode()])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def bind(self, address):
        pass

    def settimeout(self, seconds):
        pass

    def sendto(self, data, address):
        self.asked += 1
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    def recv(self, size):
        if isinstance(received := next(self.received), bytes):
            return received
        raise received


def test_a_break_of_the_network_ends_no_recording(monkeypatch):
    network = BrokenNetwork()
    monkeypatch.setattr("retarget.performance.ifacialmocap.open_udp", lambda host, port: UdpTarget(network, (host, port)))
    monkeypatch.setattr("retarget.performance.ifacialmocap._ASK_AGAIN_S", 0)
    assert len(list(islice(receive("127.0.0.2", None), 2))) == 2 and network.asked > 1


def test_what_came_before_an_error_is_written(tmp_path, monkeypatch):
    def failing(*_):
        yield decode(PHONE)._replace(time_s=0.0)
        raise RuntimeError

    monkeypatch.setattr("retarget.performance.ifacialmocap.receive", failing)
    with pytest.raises(RuntimeError):
        main(["record", str(tmp_path / "new" / "take.npz"), "--phone", "127.0.0.2"])
    assert len(read_take(tmp_path / "new" / "take.npz")) == 1


def test_record(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("retarget.performance.ifacialmocap.receive", partial(receive, listen="127.0.0.1"))
    port = free_port()
    try:
        thread = phone(port, [PHONE] * 3)
    except OSError:
        pytest.skip("this machine has no second loopback address")
    out = tmp_path / "take.npz"
    assert main(["record", str(out), "--phone", "127.0.0.2", "--port", str(port), "--seconds", "0.6"]) == 0
    thread.join()
    assert len(read_take(out)) == 3 and "3 samples" in capsys.readouterr().out


def test_record_refuses(tmp_path, capsys):
    assert main(["record", str(tmp_path / "a.wav"), "--phone", "127.0.0.1"]) == 1
    assert "ends in .npz" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["record", str(tmp_path / "file" / "a.npz"), "--phone", "127.0.0.1"]) == 1
    assert "file: expected a directory to write into" in capsys.readouterr().err
    (tmp_path / "folder.npz").mkdir()
    assert main(["record", str(tmp_path / "folder.npz"), "--phone", "127.0.0.1"]) == 1
    assert "folder.npz: expected a file to write, but this is a directory" in capsys.readouterr().err
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 0))
        port = str(other.getsockname()[1])
        assert main(["record", str(tmp_path / "a.npz"), "--phone", "127.0.0.1", "--port", port]) == 1
    assert "another program listens there" in capsys.readouterr().err
