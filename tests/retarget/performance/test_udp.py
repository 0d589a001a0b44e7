"""Ports of protocols that have no actor: who gets one, and when it is free again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retarget.performance.stream import open_sender, play
from retarget.performance.take import Footage, Take
from retarget.performance.udp import PortPerPerson
from tests.helpers.characters import make_take


def seen(actor, *times_s):
    """The samples of one actor at some moments."""
    one = make_take(1)[np.zeros(len(times_s), int)]
    return replace(one, actor=np.full(len(times_s), actor), time_s=np.array(times_s))


def sent_at(take, count, monkeypatch):
    """When `play(repeat=True)` sends the first moments of a take, in seconds. The clock jumps to each of them."""
    clock, times = [0.0], []
    monkeypatch.setattr("retarget.performance.stream.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("retarget.performance.stream.time.sleep", lambda s: clock.__setitem__(0, clock[0] + s))

    class Recorder:
        def send(self, moment):
            times.append(clock[0])
            if len(times) == count:
                raise KeyboardInterrupt
            return len(moment)

    with pytest.raises(KeyboardInterrupt):
        play(take, Recorder(), repeat=True)
    return times


ONE_AFTER_THE_OTHER = Take.concatenate([seen(0, 0.0, 2.5, 5.0), seen(1, 7.0, 9.5, 12.0)])


def test_every_loop_of_a_take_sends_the_same_people():
    ports = PortPerPerson("127.0.0.1", 40000, 1)
    try:
        loops = []
        for _ in range(3):
            moments = [ONE_AFTER_THE_OTHER[ONE_AFTER_THE_OTHER.time_s == time_s] for time_s in ONE_AFTER_THE_OTHER.time_s]
            loops.append([len(ports.assign(moment)) for moment in moments])
        assert loops == [[1] * 6] * 3
    finally:
        ports.socket.close()


def test_a_moment_without_people_changes_no_port():
    ports = PortPerPerson("127.0.0.1", 40000, 1)
    try:
        moments = [seen(0, 3.0), Take.empty(), seen(1, 3.5), seen(0, 3.6)]
        assert [len(ports.assign(moment)) for moment in moments] == [1, 0, 0, 1]
    finally:
        ports.socket.close()


@pytest.mark.parametrize("footage_fps", [None, 30.0])
@pytest.mark.parametrize("moments", [1, 3])
def test_the_last_moment_lasts_a_step_before_a_take_begins_again(moments, footage_fps, monkeypatch):
    """A take at 30 frames a second is sent 30 times a second, also over its end."""
    take = replace(seen(0, *(5 + np.arange(moments) / 30)), footage=Footage(fps=footage_fps))
    np.testing.assert_allclose(sent_at(take, 10, monkeypatch), np.arange(10) / 30, atol=1e-9)


def test_play_again_and_again(monkeypatch):
    """iFacialMocap, with `play` itself: the clock jumps to each moment, and the end of the second loop stops it."""
    clock, counts = [0.0], []
    monkeypatch.setattr("retarget.performance.stream.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("retarget.performance.stream.time.sleep", lambda s: clock.__setitem__(0, clock[0] + s))
    sender = open_sender("ifacialmocap")
    send = sender.send

    def counting(take):
        counts.append(send(take))
        if len(counts) == 12:
            raise KeyboardInterrupt
        return counts[-1]

    monkeypatch.setattr(sender, "send", counting)
    try:
        with pytest.raises(KeyboardInterrupt):
            play(ONE_AFTER_THE_OTHER, sender, repeat=True)
    finally:
        sender.close()
    assert counts == [1] * 12
