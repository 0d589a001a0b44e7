"""The comparison of short runs, and the page of charts."""

import numpy as np
import pytest

from experiments.accuracy.ablation import charts, mfn, sfn
from experiments.accuracy.evaluation_sets import EVALUATION_SETS
from experiments.common import RESULTS


def test_the_interval_of_two_seeds_uses_students_t():
    one, two = sfn.difference(np.array([0.5])), sfn.difference(np.array([1.0, 3.0]))
    assert one == (0.5, None) and str(one) == "+0.500"
    assert two.mean == 2 and two.half_width == pytest.approx(12.706 * np.sqrt(2) / np.sqrt(2), rel=1e-4)


@pytest.mark.parametrize(("seeds", "quantile"), [(3, 4.303), (4, 3.182), (5, 2.776)])
def test_the_quantiles_are_those_of_the_printed_tables(seeds, quantile):
    values = np.arange(float(seeds))
    assert sfn.difference(values).half_width == pytest.approx(quantile * values.std(ddof=1) / np.sqrt(seeds), rel=1e-3)


def test_runs_are_compared_with_the_first_over_the_seeds_that_both_have():
    runs = {"multi": np.array([[1.0], [2.0], [9.0]]), "single": np.array([[2.0], [4.0]]), "none": np.array([[0.5]])}
    gaps = sfn.compare(runs)
    assert list(gaps) == ["single", "none"] and gaps["single"][0].mean == 1.5 and gaps["none"][0] == (-0.5, None)
    assert sfn.as_figures(gaps["none"][0]) == {"difference": -0.5, "interval95": None}


def test_a_detector_has_no_points_in_the_table():
    seed = {"ap": 0.9} | {name: {"aligned_nme all": 2.0} for name in EVALUATION_SETS}
    assert mfn.table_row("a", [seed, seed]) == "| a | 2.00 | 2.00 | 2.00 | 0.900 |"
    assert mfn.table_row("detection", [{"ap": 0.9}]) == "| detection | – | – | – | 0.900 |"


def test_seeds_of_mfn_are_summarized_with_intervals():
    def seed(nme: float) -> dict:
        bands = {f"aligned_nme {band}": nme for band in ("0-30", "30-60", "60+", "all")}
        return {"ap": nme / 10} | dict.fromkeys(EVALUATION_SETS, bands)

    found = mfn.summary({"multi": [seed(4.0), seed(4.2)], "single": [seed(5.0), seed(5.4)]})
    assert found["summary"]["multi"]["mean"] == pytest.approx([4.1] * 6 + [0.41])
    gap = found["against_multi"]["single"][0]
    assert gap["difference"] == pytest.approx(1.1) and gap["interval95"] > 1


def test_the_committed_page_is_made_from_the_committed_figures(tmp_path):
    pytest.importorskip("matplotlib")
    page = charts.draw_charts(RESULTS, tmp_path)
    assert page == (RESULTS / "ablation" / "charts" / "charts.md").read_text(encoding="utf-8")
    assert len(list(tmp_path.glob("chart_*.png"))) == 4


def test_a_missing_report_says_where_its_script_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="experiments/speed"):
        charts.read(tmp_path, "speed/runtime")
