"""The committed reports: each says which script wrote it and lies in its folder, in one of its name, or in `free`."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
REPORTS = sorted(RESULTS.glob("*/**/*.json"))
DIGEST = re.compile(r"[0-9a-f]{64}")


def digests(value: object) -> list[object]:
    if isinstance(value, dict):
        return [digest for part in value.values() for digest in digests(part)]
    return [digest for part in value for digest in digests(part)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_a_report_names_its_script_and_its_weights(path):
    report = json.loads(path.read_text(encoding="utf-8"))
    script = ROOT / (report["script"].replace(".", "/") + ".py")
    assert script.is_file() and path.parent.name in (script.parent.name, script.stem, "free")
    assert all(DIGEST.fullmatch(str(digest)) for digest in digests(report.get("weights_sha256", [])))
    assert len(report) > 1


def test_reports_lie_in_folders():
    files = [path.name for path in RESULTS.glob("*.*")]
    assert REPORTS and files == ["peers.json"]  # the published figures of other methods


def test_the_page_of_charts_shows_pictures_that_exist():
    page = RESULTS / "ablation" / "charts" / "charts.md"
    names = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert len(names) == 4 and all((page.parent / name).is_file() for name in names)
