from contextlib import nullcontext
from fractions import Fraction
from types import SimpleNamespace

import pytest

from mfn.video.writer import _copied


class Sound(nullcontext):
    """A clip whose sound has these time stamps (pts, dts) in milliseconds."""

    streams = ("sound",)

    def __init__(self, *stamps: tuple[int | None, int | None]) -> None:
        super().__init__()
        self.stamps = stamps

    def demux(self, stream: str) -> list[SimpleNamespace]:
        assert stream == "sound"
        return [SimpleNamespace(pts=pts, dts=dts, time_base=Fraction(1, 1000), stream=stream) for pts, dts in self.stamps]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([(100, 100), (200, 200), (None, None)], [(0.0, 0), (0.1, 100)]),
        ([(100, 100), (None, 200), (300, 300)], [(0.0, 0), (0.1, 100), (0.2, 200)]),
        ([(None, 10), (None, 120), (None, 900)], [(0.02, 20)]),
    ],
    ids=["whole", "one without", "all without"],
)
def test_copied_sound_may_lack_time_stamps(stamps, expected):
    packets = list(_copied(Sound(*stamps), 0, "out", 0.1, 0.5))
    assert [(packet.time_s, packet.packet.pts) for packet in packets] == [(pytest.approx(time_s), pts) for time_s, pts in expected]
    assert all(packet.packet.dts == packet.packet.pts and packet.packet.stream == "out" for packet in packets)
