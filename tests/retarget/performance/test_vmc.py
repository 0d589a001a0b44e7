"""VMC: what python-osc's own server receives, against the protocol's published messages."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.geometry.rotations import quaternion_to_matrix
from retarget.gltf.document import read_glb, write_glb
from retarget.performance.stream import expressions_for
from retarget.performance.take import Take
from retarget.performance.vmc import DEFAULT_PORT, VmcSender, encode_bundle, expressions_of_avatar, vmc_expressions
from tests.helpers.characters import make_take

pytest.importorskip("pythonosc", reason="VMC is sent with python-osc: pip install '.[stream]'")


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
    assert address == "/VMC/Ext/T" and time_s == [pytest.approx(float(take.time_s[0]))]
    address, bone = messages[2]
    x, y, z, w = take.rotation[0]
    assert address == "/VMC/Ext/Bone/Pos" and bone[:4] == ["Head", 0, 0, 0]
    np.testing.assert_allclose(bone[4:], (x, -y, -z, w), rtol=1e-6)
    blends = messages[3:-1]
    assert {address for address, _ in blends} == {"/VMC/Ext/Blend/Val"}
    names = [name for _, (name, _) in blends]
    assert names == ["A", "I", "U", "E", "O", "Blink_L", "Blink_R"]  # VRM 0, as the protocol wants it by default
    values = dict(given for _, given in blends)
    assert all(type(value) is float and 0 <= value <= 1 for value in values.values())
    assert values["Blink_L"] == pytest.approx(take.coefficients[0, ARKIT_NAMES.index("eyeBlinkLeft")])
    assert values["Blink_R"] == pytest.approx(take.coefficients[0, ARKIT_NAMES.index("eyeBlinkRight")])


def test_bytes():
    """The datagram by hand: OSC 1.0's bundle, immediate, first element /VMC/Ext/OK with one integer."""
    data = encode_bundle(np.zeros(52), (0, 0, 0, 1), 2.0, vmc_expressions())
    assert data[:16] == b"#bundle\0" + bytes(7) + b"\1"
    assert data[16:20] == bytes([0, 0, 0, 20]) and data[20:40] == b"/VMC/Ext/OK\0,i\0\0\0\0\0\1"
    assert data[40:44] == bytes([0, 0, 0, 20]) and data[44:64] == b"/VMC/Ext/T\0\0,f\0\0\x40\0\0\0"
    assert b"/VMC/Ext/Bone/Pos\0\0\0,sfffffff\0\0\0Head\0\0\0\0" in data
    assert data.endswith(b"/VMC/Ext/Blend/Apply\0\0\0\0,\0\0\0") and len(data) % 4 == 0


def test_a_turned_head_turns_the_same_way_in_unity():
    """Unity's axes are ours with x negated: a nose that moves to the subject's left moves to -x there."""
    half = 0.2
    data = encode_bundle(np.zeros(52), (0, np.sin(half), 0, np.cos(half)), 0, vmc_expressions())
    from pythonosc.osc_bundle import OscBundle

    bone = next(content.params for content in OscBundle(data) if content.address == "/VMC/Ext/Bone/Pos")
    nose = quaternion_to_matrix(np.array(bone[4:])) @ (0, 0, 1)
    np.testing.assert_allclose(nose, (-np.sin(2 * half), 0, np.cos(2 * half)), atol=1e-6)


def test_names():
    assert vmc_expressions("vrm1").names == ("aa", "ih", "ou", "ee", "oh", "blinkLeft", "blinkRight")
    perfect = vmc_expressions("arkit")
    assert perfect.names[:2] == ("EyeBlinkLeft", "EyeLookDownLeft") and len(perfect.names) == 52
    random = np.random.default_rng(0).uniform(0, 1, (4, 52)).astype(np.float32)
    np.testing.assert_array_equal(perfect.values(random), random)
    assert vmc_expressions().values(np.zeros((0, 52))).shape == (0, 7)
    face = np.zeros((1, 52))
    face[0, ARKIT_NAMES.index("jawOpen")] = 0.8
    assert vmc_expressions().values(face)[0].tolist() == [pytest.approx(0.8), 0, 0, 0, 0, 0, 0]
    face[0, ARKIT_NAMES.index("mouthFunnel")] = 0.9
    a, _, u, _, o, *_ = vmc_expressions().values(face)[0]
    assert o == pytest.approx(0.9) and a < 0.2 and u == 0
    with pytest.raises(ValueError, match="expected vrm0, vrm1 or arkit"):
        vmc_expressions("vrm2")


def test_an_avatar_is_called_by_its_own_names():
    own = [name.upper() for name in ARKIT_NAMES[:40]]
    groups = [{"name": name} for name in ["Joy", *own]]
    got = expressions_of_avatar({"extensions": {"VRM": {"blendShapeMaster": {"blendShapeGroups": groups}}}})
    assert list(got.names) == own
    assert got.values(np.eye(52)[3:4])[0].tolist() == np.eye(40)[3].tolist()
    custom = {key: {} for key in ARKIT_NAMES}
    assert expressions_of_avatar({"extensions": {"VRMC_vrm": {"expressions": {"custom": custom}}}}).names == ARKIT_NAMES
    assert expressions_of_avatar({"extensions": {"VRMC_vrm": {}}}).names[0] == "aa" and expressions_of_avatar({}).names[0] == "A"


def test_names_by_file(face_path):
    assert expressions_for("vrm1").names[0] == "aa"
    glb = read_glb(face_path)
    glb.document["extensions"] = {"VRMC_vrm": {"expressions": {"custom": {name: {} for name in ARKIT_NAMES[:30]}}}}
    write_glb(glb, face_path)
    assert expressions_for(str(face_path)).names == ARKIT_NAMES[:30]
    glb.document["extensions"] = {"VRM": {"blendShapeMaster": [3]}}
    write_glb(glb, face_path)
    with pytest.raises(ValueError, match=r"face\.glb: its VRM expressions are damaged"):
        expressions_for(str(face_path))
    with pytest.raises(ValueError, match="expected vrm0, vrm1, arkit or an avatar"):
        expressions_for("vrm7")


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
    monkeypatch.setitem(__import__("sys").modules, "pythonosc.osc_bundle_builder", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[stream\]'"):
        VmcSender()
