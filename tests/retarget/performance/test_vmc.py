"""VMC: what python-osc's own server receives, against the protocol's published messages."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.geometry.rotations import quaternion_to_matrix
from retarget.gltf.document import read_glb, write_glb
from retarget.performance.stream import avatar_for
from retarget.performance.take import Take
from retarget.performance.vmc import (
    DEFAULT_PORT,
    MAX_DATAGRAM_BYTES,
    VmcSender,
    avatar_of_document,
    encode_bundles,
    usual_avatar,
)
from tests.helpers.characters import make_take
from tests.helpers.vrms import make_new, make_old

pytest.importorskip("pythonosc", reason='VMC is sent with python-osc: pip install ".[stream]"')


def receive(send, ports=1):
    """Messages (address, arguments) that python-osc's servers on `ports` neighbouring ports get while send(port) runs."""
    from pythonosc.dispatcher import Dispatcher
    from pythonosc.osc_server import BlockingOSCUDPServer

    first = BlockingOSCUDPServer(("127.0.0.1", 0), Dispatcher())
    servers = [first]
    base = first.server_address[1]
    servers += [BlockingOSCUDPServer(("127.0.0.1", base + k), Dispatcher()) for k in range(1, ports)]
    got = [[] for _ in servers]
    for server, inbox in zip(servers, got, strict=True):
        server.dispatcher.set_default_handler(lambda address, *given, inbox=inbox: inbox.append((address, list(given))))
        server.timeout = 0.5
    counts = []
    thread = threading.Thread(target=lambda: counts.append(send(base)))
    thread.start()
    thread.join()
    for server in servers:
        for _ in range(20):
            before = sum(map(len, got))
            server.handle_request()
            if sum(map(len, got)) == before:
                break
        server.server_close()
    return counts[0], got


def test_messages():
    take = make_take(1)

    def send(port):
        sender = VmcSender(port=port)
        try:
            return sender.send(take)
        finally:
            sender.close()

    count, ((*messages,),) = receive(send)
    assert count == 1 and messages[0] == ("/VMC/Ext/OK", [1]) and messages[-1] == ("/VMC/Ext/Blend/Apply", [])
    address, time_s = messages[1]
    assert address == "/VMC/Ext/T" and time_s == [0]
    address, bone = messages[2]
    x, y, z, w = take.rotation[0]
    assert address == "/VMC/Ext/Bone/Pos" and bone[:4] == ["Head", 0, pytest.approx(0.1), 0]
    np.testing.assert_allclose(bone[4:], (x, -y, -z, w), rtol=1e-6)
    assert messages[3][0] == "/VMC/Ext/Set/Eye" and messages[3][1][0] == 1
    blends = messages[4:-1]
    assert {address for address, _ in blends} == {"/VMC/Ext/Blend/Val"}
    values = dict(given for _, given in blends)
    presets = "A I U E O Blink_L Blink_R LookUp LookDown LookLeft LookRight Joy Fun Angry Sorrow Surprised"
    assert list(values) == presets.split()  # VRM 0, as the protocol wants it by default
    assert all(type(value) is float and 0 <= value <= 1 for value in values.values())


@pytest.mark.parametrize("start_s", [0, 1.7e9])
def test_times_count_from_the_first_moment(start_s):
    """Seconds since 1970 do not fit a float of 32 bits: three moments would have one time. A loop begins at 0 again."""
    take = make_take(1, 3)
    take = replace(take, time_s=start_s + np.arange(3) / 30)

    def send(port):
        sender = VmcSender(port=port)
        try:
            return [sender.send(moment) for moment in (take[:0], take[0], take[1], take[2], take[0])]
        finally:
            sender.close()

    _, (messages,) = receive(send)
    times = [given[0] for address, given in messages if address == "/VMC/Ext/T"]
    np.testing.assert_allclose(times, [0, 1 / 30, 2 / 30, 0], atol=1e-6)


def test_bytes():
    """The datagram by hand: OSC 1.0's bundle, immediate, first element /VMC/Ext/OK with one integer."""
    (data,) = encode_bundles(np.zeros(52), (0, 0, 0, 1), 2.0, usual_avatar())
    assert data[:16] == b"#bundle\0" + bytes(7) + b"\1"
    assert data[16:20] == bytes([0, 0, 0, 20]) and data[20:40] == b"/VMC/Ext/OK\0,i\0\0\0\0\0\1"
    assert data[40:44] == bytes([0, 0, 0, 20]) and data[44:64] == b"/VMC/Ext/T\0\0,f\0\0\x40\0\0\0"
    assert b"/VMC/Ext/Bone/Pos\0\0\0,sfffffff\0\0\0Head\0\0\0\0" in data
    assert data.endswith(b"/VMC/Ext/Blend/Apply\0\0\0\0,\0\0\0") and len(data) % 4 == 0


def decoded(datagrams):
    """Messages (address, arguments) as python-osc reads them from bundles."""
    from pythonosc.osc_bundle import OscBundle

    return [(content.address, list(content.params)) for data in datagrams for content in OscBundle(data)]


def bones_of(datagrams):
    """Bone -> (place, quaternion x y z w)."""
    bones = [given for address, given in decoded(datagrams) if address == "/VMC/Ext/Bone/Pos"]
    return {name: (np.array(numbers[:3]), np.array(numbers[3:])) for name, *numbers in bones}


def face(**values):
    coefficients = np.zeros(52)
    for name, value in values.items():
        coefficients[ARKIT_NAMES.index(name)] = value
    return coefficients


def test_a_turned_head_turns_the_same_way_in_unity():
    """Unity's axes are ours with x negated: a nose that moves to the subject's left moves to -x there."""
    half = 0.2
    _, turn = bones_of(encode_bundles(np.zeros(52), (0, np.sin(half), 0, np.cos(half)), 0, usual_avatar()))["Head"]
    nose = quaternion_to_matrix(turn) @ (0, 0, 1)
    np.testing.assert_allclose(nose, (-np.sin(2 * half), 0, np.cos(2 * half)), atol=1e-6)


LEFT_AND_UP = face(eyeLookOutLeft=1, eyeLookInRight=1, eyeLookUpLeft=1, eyeLookUpRight=1)


def test_gaze_of_an_unknown_avatar():
    """The point that the eyes look at, 1 m away: to -x for the subject's left, up, in front. Eye bones have unknown places."""
    datagrams = encode_bundles(LEFT_AND_UP, (0, 0, 0, 1), 0, usual_avatar())
    (point,) = (given for address, given in decoded(datagrams) if address == "/VMC/Ext/Set/Eye")
    expected = (-np.sin(0.52) * np.cos(0.44), np.sin(0.44), np.cos(0.52) * np.cos(0.44))
    assert point[0] == 1 and np.allclose(point[1:], expected, atol=1e-6)
    assert set(bones_of(datagrams)) == {"Head"}


OLD, NEW = make_old([("Joy", "joy", {"Smile": 100}, False)]), make_new({"happy": ({"Smile": 1}, {})})


@pytest.mark.parametrize("avatar, axes", [(OLD, (1, 1, -1)), (NEW, (-1, 1, 1))])
def test_bones_of_an_avatar(avatar, axes):
    """Head and eyes have the avatar's own places, in Unity's axes; the eyes turn with the coefficients."""
    document = avatar.document
    document["nodes"][0]["translation"] = [0.01, 0.12, 0.03]
    avatar = avatar_of_document(document)
    bones = bones_of(encode_bundles(LEFT_AND_UP, (0, 0, 0, 1), 0, avatar))
    nodes = {"Head": 0, "LeftEye": 2, "RightEye": 3}
    for name, (place, _) in bones.items():
        np.testing.assert_allclose(place, np.multiply(document["nodes"][nodes.pop(name)]["translation"], axes), atol=1e-6)
    assert not nodes
    for name in ("LeftEye", "RightEye"):
        x, y, z = quaternion_to_matrix(bones[name][1]) @ (0, 0, 1)
        assert x < -0.4 and y > 0.4 and z > 0.6
    assert not any("Look" in name or "look" in name for name in avatar.expressions.mapping.names)


DIRECTIONS = ("HorizontalInner", "HorizontalOuter", "VerticalDown", "VerticalUp")
LOOK_NEW = {"VRMC_vrm": {"lookAt": {"type": "expression"} | {f"rangeMap{d}": {"inputMaxValue": 90, "outputScale": 1} for d in DIRECTIONS}}}
LOOK_OLD = {"VRM": {"firstPerson": {"lookAtTypeName": "BlendShape"} | {f"lookAt{d}": {"xRange": 90, "yRange": 1} for d in DIRECTIONS}}}


@pytest.mark.parametrize("extensions", [LOOK_NEW, LOOK_OLD])
def test_gaze_of_an_avatar_that_looks_by_expressions(extensions):
    """The ranges of such a file are weights of expressions, not degrees."""
    avatar = avatar_of_document({"extensions": extensions})
    points = [
        given
        for sent in (avatar, usual_avatar())
        for address, given in decoded(encode_bundles(LEFT_AND_UP, (0, 0, 0, 1), 0, sent))
        if address == "/VMC/Ext/Set/Eye"
    ]
    assert points[0] == points[1] and points[0][1] < -0.4


def test_datagrams_fit_into_one_frame_of_the_network():
    """52 names need several bundles; all come, in order, and the last message applies them."""
    datagrams = encode_bundles(np.full(52, 0.5), (0, 0, 0, 1), 0, usual_avatar("arkit"))
    assert len(datagrams) > 1 and max(map(len, datagrams)) <= MAX_DATAGRAM_BYTES <= 1500 - 28
    messages = decoded(datagrams)
    names = [given[0] for address, given in messages if address == "/VMC/Ext/Blend/Val"]
    assert names == list(usual_avatar("arkit").expressions.mapping.names) and len(names) == 52
    assert messages[0][0] == "/VMC/Ext/OK" and messages[-1] == ("/VMC/Ext/Blend/Apply", [])


def test_names():
    assert usual_avatar("vrm1").expressions.mapping.names[:7] == ("aa", "ih", "ou", "ee", "oh", "blinkLeft", "blinkRight")
    perfect = usual_avatar("arkit").expressions
    assert perfect.mapping.names[:2] == ("EyeBlinkLeft", "EyeLookDownLeft") and len(perfect.mapping.names) == 52
    random = np.random.default_rng(0).uniform(0, 1, (4, 52)).astype(np.float32)
    np.testing.assert_array_equal(perfect.values(random), random)
    presets = usual_avatar().expressions
    assert presets.values(np.zeros((0, 52))).shape == (0, 16)
    assert presets.values(face(jawOpen=0.8)[None])[0, :5].tolist() == [pytest.approx(0.8), 0, 0, 0, 0]
    a, _, u, _, o, *_ = presets.values(face(jawOpen=0.8, mouthFunnel=0.9)[None])[0]
    assert o == pytest.approx(0.9) and a < 0.2 and u == 0
    with pytest.raises(ValueError, match="expected vrm0, vrm1 or arkit"):
        usual_avatar("vrm2")


def test_a_smile_is_joy_and_takes_back_the_mouth():
    """VRM 0.x has no overrides: an emotion that also moves mouth and lids suppresses them, as when we draw."""
    expressions = usual_avatar().expressions
    joy, mouth = expressions.mapping.names.index("Joy"), expressions.mapping.names.index("A")
    smile = face(mouthSmileLeft=1, mouthSmileRight=1, cheekSquintLeft=1, cheekSquintRight=1, jawOpen=0.8)
    values = expressions.values(smile[None])[0]
    assert values[joy] == 1 and values[mouth] == 0
    newer = usual_avatar("vrm1").expressions.values(smile[None])[0]
    assert newer[joy] == 1 and newer[mouth] == pytest.approx(0.8), "receivers of VRM 1.0 apply the file's own overrides"


def names_of(document):
    return avatar_of_document(document).expressions.mapping.names


def test_an_avatar_is_called_by_its_own_names():
    own = [name.upper() for name in ARKIT_NAMES[:40]]
    groups = [{"name": name} for name in ["Joy", *own]]
    got = avatar_of_document({"extensions": {"VRM": {"blendShapeMaster": {"blendShapeGroups": groups}}}}).expressions
    assert list(got.mapping.names) == own
    assert got.values(np.eye(52)[3:4])[0].tolist() == np.eye(40)[3].tolist()
    custom = {key: {} for key in ARKIT_NAMES}
    assert names_of({"extensions": {"VRMC_vrm": {"expressions": {"custom": custom}}}}) == ARKIT_NAMES
    assert names_of({"extensions": {"VRMC_vrm": {}}})[0] == "aa" and names_of({})[0] == "A"


def test_an_avatar_gets_the_presets_that_it_has():
    groups = [{"name": "grin", "presetName": "joy"}, {"name": "Blink", "presetName": "blink"}, {"name": "A", "presetName": "a"}]
    assert names_of({"extensions": {"VRM": {"blendShapeMaster": {"blendShapeGroups": groups}}}}) == ("A", "Blink", "Joy")
    preset = {"aa": {}, "blink": {}, "blinkLeft": {}, "blinkRight": {}, "lookUp": {}, "sad": {}}
    assert names_of({"extensions": {"VRMC_vrm": {"expressions": {"preset": preset}}}}) == ("aa", "blinkLeft", "blinkRight", "lookUp", "sad")


def test_names_by_file(face_path):
    assert avatar_for("vrm1").expressions.mapping.names[0] == "aa"
    glb = read_glb(face_path)
    glb.document["extensions"] = {"VRMC_vrm": {"expressions": {"custom": {name: {} for name in ARKIT_NAMES[:30]}}}}
    write_glb(glb, face_path)
    assert avatar_for(str(face_path)).expressions.mapping.names == ARKIT_NAMES[:30]
    glb.document["extensions"] = {"VRM": {"blendShapeMaster": [3]}}
    write_glb(glb, face_path)
    with pytest.raises(ValueError, match=r"face\.glb: its VRM expressions are damaged"):
        avatar_for(str(face_path))
    glb.document["extensions"] = {"VRMC_vrm": {"humanoid": {"humanBones": {"leftEye": None}}}}
    write_glb(glb, face_path)
    with pytest.raises(ValueError, match=r"^\S*face\.glb: damaged glTF, a property is missing or of the wrong type"):
        avatar_for(str(face_path))
    with pytest.raises(ValueError, match="expected vrm0, vrm1, arkit or an avatar"):
        avatar_for("vrm7")


def test_a_port_a_person_and_they_keep_it():
    takes = [make_take(3), make_take(3)[[2, 1]], make_take(3)[[1]]]

    def send(port):
        sender = VmcSender(port=port, people=2)
        try:
            return [sender.send(take) for take in takes]
        finally:
            sender.close()

    counts, (first, second) = receive(send, ports=2)
    assert counts == [2, 1, 1]  # all are equally near: 1 and 3 have the ports, 5 has none

    def heads(inbox):
        return [given[4] for address, given in inbox if address == "/VMC/Ext/Bone/Pos"]

    take = takes[0]
    np.testing.assert_allclose(heads(first), take.rotation[[0], 0], rtol=1e-6)
    np.testing.assert_allclose(heads(second), take.rotation[[1, 1, 1], 0], rtol=1e-6)


def test_who_is_gone_gives_the_port_free():
    first = make_take(1)
    other = Take(first.time_s + 2, first.actor + 1, first.coefficients, first.rotation, first.translation)
    sender = VmcSender(port=DEFAULT_PORT)
    try:
        soon = Take(first.time_s + 0.5, first.actor + 1, first.coefficients, first.rotation, first.translation)
        assert [sender.send(take) for take in (first, soon, other, Take.empty())] == [1, 0, 1, 0]
    finally:
        sender.close()


def test_refuses(monkeypatch):
    with pytest.raises(ValueError, match="expected 1 to 64"):
        VmcSender(people=0)
    with pytest.raises(ValueError, match="ports up to 65535"):
        VmcSender(port=65535, people=2)
    monkeypatch.setitem(__import__("sys").modules, "pythonosc.osc_message_builder", None)
    with pytest.raises(ImportError, match=r'pip install "\.\[stream\]"'):
        VmcSender()
