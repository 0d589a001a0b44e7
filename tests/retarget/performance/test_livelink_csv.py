"""Recordings that are not quite as the app writes them: percents, clocks that go back, bad rows, NTSC time codes."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.cli import main
from retarget.performance.files import read_take
from retarget.performance.livelink_csv import read_csv

JAW = ARKIT_NAMES.index("jawOpen")


def wrote(tmp_path, codes, weights=None):
    """Write a recording of one shape, by default with weights that grow from 0 to 1."""
    weights = np.linspace(0, 1, len(codes)) if weights is None else weights
    rows = [f"{code},{weight}" for code, weight in zip(codes, weights, strict=True)]
    (tmp_path / "a.csv").write_text("Timecode,JawOpen\n" + "\n".join(rows) + "\n")
    return tmp_path / "a.csv"


def codes_of(seconds, count=30, rate=30):
    return [f"00:00:{seconds:02d}:{k % rate:02d}.000" for k in range(count)]


def day_codes(start_s, count=90, rate=30):
    """Codes of a recording that begins at a second of the day."""
    moments = [(start_s + k // rate, k % rate) for k in range(count)]
    return [f"{s // 3600 % 24:02d}:{s // 60 % 60:02d}:{s % 60:02d}:{frame:02d}" for s, frame in moments]


def message(caplog):
    (record,) = caplog.records
    return record.getMessage()


def test_percents(tmp_path, caplog):
    take = read_csv(wrote(tmp_path, codes_of(1, 3), [0, 40, 100]))
    np.testing.assert_allclose(take.coefficients[:, JAW], [0, 0.4, 1], atol=1e-7)
    assert message(caplog) == f"{tmp_path / 'a.csv'}: weights up to 100 were read as percents and divided by 100"


def test_one_wrong_weight_makes_no_percents(tmp_path, caplog):
    take = read_csv(wrote(tmp_path, codes_of(1, 4), [0.5, 40, 0.25, 1.01]))
    np.testing.assert_allclose(take.coefficients[:, JAW], [0.5, 1, 0.25, 1], atol=1e-7)
    assert "weights up to 40 (expected 0 to 1); those above 1 were read as 1" in message(caplog)


def test_weights_a_little_above_1_stay(tmp_path, caplog):
    assert read_csv(wrote(tmp_path, codes_of(1, 2), [0.5, 1.2])).coefficients[:, JAW].tolist() == [0.5, 1] and not caplog.records


def test_exaggerated_weights_are_no_percents(tmp_path, caplog):
    """A tongue at 2.5 in all rows: the other shapes keep their size."""
    (tmp_path / "a.csv").write_text("Timecode,JawOpen,TongueOut\n" + "".join(f"{code},0.5,2.5\n" for code in codes_of(1, 4)))
    assert read_csv(tmp_path / "a.csv").coefficients[:, JAW].tolist() == [0.5] * 4
    assert "weights up to 2.5 (expected 0 to 1); those above 1 were read as 1" in message(caplog)


def test_weights_of_another_range_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.csv: weights up to 255 \(expected 0 to 1, or percents from 0 to 100\)"):
        read_csv(wrote(tmp_path, codes_of(1, 3), [0, 128, 255]))


def test_a_clock_that_goes_back_begins_another_recording(tmp_path, caplog):
    take = read_csv(wrote(tmp_path, codes_of(10) + codes_of(2) + codes_of(1), np.arange(90) / 100), code_rate=30)
    np.testing.assert_allclose(take.time_s, 10 + np.arange(90) / 30, atol=1e-9)
    np.testing.assert_allclose(take.coefficients[:, JAW], np.arange(90) / 100, atol=1e-7)
    assert "its time goes back, first after 10.967 s; it is read as 3 recordings that follow each other" in message(caplog)


@pytest.mark.parametrize("early", ["00:00:10:02.000", "00:00:02:00.000"])
def test_rows_that_are_too_early_are_left_out(early, tmp_path, caplog):
    codes = codes_of(10)
    codes[5] = early
    take = read_csv(wrote(tmp_path, codes), code_rate=30)
    np.testing.assert_allclose(take.time_s, np.delete(10 + np.arange(30) / 30, 5), atol=1e-9)
    assert "1 of 30 rows are not later than a row before them and were left out" in message(caplog)


@pytest.mark.parametrize("hour", [10, 13])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("first", [1, 40, 86])
def test_rows_without_a_clock_are_left_out(hour, count, first, tmp_path):
    """Neither another recording nor midnight, and the rate is still found."""
    codes = day_codes(3600 * hour)
    codes[first : first + count] = ["00:00:00:00"] * count
    take = read_csv(wrote(tmp_path, codes))
    np.testing.assert_allclose(take.time_s, np.delete(3600 * hour + np.arange(90) / 30, range(first, first + count)), atol=1e-9)


@pytest.mark.parametrize("hours", [(23, 8), (10, 9), (12, 0.5)])
def test_recordings_of_two_days(hours, tmp_path):
    codes = [code for hour in hours for code in day_codes(int(3600 * hour))]
    np.testing.assert_allclose(read_csv(wrote(tmp_path, codes)).time_s, 3600 * hours[0] + np.arange(180) / 30, atol=1e-9)


def test_a_long_pause_does_not_hide_the_rate(tmp_path):
    take = read_csv(wrote(tmp_path, day_codes(36000) + day_codes(79200)))
    assert np.diff(take.time_s) == pytest.approx([1 / 30] * 89 + [43197 + 1 / 30] + [1 / 30] * 89)


def test_midnight_is_no_new_recording(tmp_path, caplog):
    take = read_csv(wrote(tmp_path, day_codes(86399) + day_codes(600)))
    assert take.time_s[[0, 90]].tolist() == [86399, 87000] and not caplog.records


@pytest.mark.parametrize("code, weight", [("00:00:01:03", "nan"), ("00:00:01:03", ""), ("soon", "0.5"), ("", "")])
def test_single_bad_rows_are_left_out(code, weight, tmp_path, caplog):
    codes, weights = [f"00:00:01:{k:02d}" for k in range(6)], [0.5] * 6
    codes[3], weights[3] = code, weight
    codes[4], weights[4] = code, weight
    take = read_csv(wrote(tmp_path, codes, weights))
    assert len(take) == 4
    if code or weight:  # else the rows are empty
        assert "2 of 6 rows cannot be read and were left out, the first is row 5" in message(caplog)


def test_mostly_bad_rows_are_no_recording(tmp_path):
    with pytest.raises(ValueError, match="row 3 cannot be read"):
        read_csv(wrote(tmp_path, codes_of(1, 4), [0.5, "nan", "x", 0.5]))


def slow_codes(count, nominal, drop):
    """Time codes of frames, counted one by one as a recorder does."""
    codes, hours, minutes, seconds, frames = [], 0, 0, 0, 0
    for _ in range(count):
        codes.append(f"{hours:02d}:{minutes:02d}:{seconds:02d}{';' if drop else ':'}{frames:02d}")
        frames += 1
        if frames == nominal:
            frames, seconds = 0, seconds + 1
        if seconds == 60:
            seconds, minutes = 0, minutes + 1
            frames = nominal // 15 if drop and minutes % 10 else 0
        if minutes == 60:
            minutes, hours = 0, hours + 1
    return codes


@pytest.mark.parametrize(
    "nominal, drop, code_rate",
    [(30, False, 29.97), (60, False, 59.94), (24, False, 23.976), (24, False, 23.98), (30, True, None), (60, True, None), (30, True, 30)],
)
def test_ntsc_time_codes_do_not_drift(nominal, drop, code_rate, tmp_path):
    """12 minutes, over the tenth: each frame takes 1001 / 1000 of that of the whole rate."""
    codes = slow_codes(12 * 60 * nominal, nominal, drop)
    assert ("00:01:00;00" in codes, "00:10:00;00" in codes) == (False, drop)
    take = read_csv(wrote(tmp_path, codes), code_rate=code_rate)
    np.testing.assert_allclose(take.time_s, np.arange(len(codes)) * 1.001 / nominal, atol=1e-6)


def test_every_command_takes_the_rate(tmp_path, capsys):
    """--code-rate is an error for a file without time codes."""
    path = wrote(tmp_path, ["00:00:01:00", "00:00:01:12"])
    for verb in ("convert", "calibrate"):
        assert main([verb, str(path), "--code-rate", "24", "--out", str(tmp_path / "b.npz")]) == 0
        assert read_take(tmp_path / "b.npz").time_s.tolist() == [1, 1.5]
    for verb in ("convert", "calibrate", "animate", "render", "stream"):
        out = [] if verb == "stream" else ["--out", str(tmp_path / "c.npz")]
        assert main([verb, str(tmp_path / "b.npz"), "--code-rate", "24", *out]) == 1
        assert "b.npz: --code-rate is for the time codes of a .csv file; leave it out" in capsys.readouterr().err


def test_seconds_have_no_code_rate(tmp_path):
    (tmp_path / "a.csv").write_text("Timecode,JawOpen\n0.5,0\n1.25,1\n")
    assert read_csv(tmp_path / "a.csv").time_s.tolist() == [0.5, 1.25]
    with pytest.raises(ValueError, match=r"a\.csv: its times are seconds, not time codes, and need no --code-rate; leave it out"):
        read_csv(tmp_path / "a.csv", code_rate=24)


@pytest.mark.parametrize("rate", [1, 5, 12.5, 24, 25, 30, 60])
def test_other_rates_stay(rate, tmp_path):
    take = read_csv(wrote(tmp_path, ["00:01:00:00", "00:02:00:00", "00:02:00:00.5"]), code_rate=rate)
    np.testing.assert_allclose(take.time_s, [60, 120, 120 + 0.5 / rate], atol=1e-9)


def test_semicolons_of_other_rates(tmp_path):
    """Codes of 25 frames have no dropped numbers, whatever stands between their parts."""
    take = read_csv(wrote(tmp_path, [f"00;01;{k // 25:02d};{k % 25:02d}" for k in range(60)]))
    np.testing.assert_allclose(take.time_s, 60 + np.arange(60) / 25, atol=1e-9)
