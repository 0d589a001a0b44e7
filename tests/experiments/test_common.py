"""Reports, command lines and the small helpers that the experiments share."""

import json

import pytest

from experiments import common
from tests.helpers.experiments import numbered_pictures


def test_a_report_has_a_header_without_a_date_and_replaces_the_file(tmp_path):
    weights = tmp_path / "a.onnx"
    weights.write_bytes(b"abc")
    path = tmp_path / "new" / "report.json"
    for value in (1.5, 2.5):
        common.write_report(path, common.__file__, {"ap": value}, weights)
    report = json.loads(path.read_text())
    assert list(report) == ["script", "weights_sha256", "cpu_seconds", "ap"] and report["ap"] == 2.5
    assert report["script"] == "experiments.common" and report["weights_sha256"] == common.sha256(weights)
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_digests_of_named_files_and_of_lists_of_files(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert common.digests_of({"x": file, "y": [file, file]}) == {"x": empty, "y": [empty, empty]}


def test_a_report_of_a_shipped_network_names_the_readers_that_ran_with_it(tmp_path, shipped):
    common.write_report(tmp_path / "a.json", common.__file__, {}, {"large": shipped})
    report = json.loads((tmp_path / "a.json").read_text())
    files = {"reader": "reader", "eyes": "eyes", "portrait": "sfn"}
    assert report["readers_sha256"] == {name: common.sha256(shipped.with_name(f"{file}.onnx")) for name, file in files.items()}
    other = tmp_path / "other.onnx"
    other.write_bytes(b"abc")
    assert common.digests_of_readers({"other": other, "many": [other]}) == {}


def test_check_accepts_the_same_figures_and_other_times(tmp_path, capsys):
    parser = common.make_parser("A script.", tmp_path / "report.json")
    figures = {"ap": 0.5, "nan": float("nan"), "rows": [{"n": 1, "cpu_seconds": 2.0}], "detect_ms": {"1": 3.0}}
    common.save_report(parser.parse_args([]), common.__file__, figures)
    same = figures | {"rows": [{"n": 1, "cpu_seconds": 9.0}], "detect_ms": {"1": 4.0}}
    common.save_report(parser.parse_args(["--check"]), common.__file__, same)
    assert "the same figures" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"/ap: was 0.5, is 0.6"):
        common.save_report(parser.parse_args(["--check"]), common.__file__, figures | {"ap": 0.6})


@pytest.mark.parametrize(
    ("known", "measured", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, ["/b: was None, is 2"]),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["/a/1: was 2, is 3"]),
        ({"a": [1, 2]}, {"a": [1]}, ["/a: was [1, 2], is [1]"]),
        ({"script": "x", "cpu_seconds": 1, "us_100": 1}, {"us_100": 1}, []),
    ],
)
def test_differences_name_the_place(known, measured, expected):
    assert common.differences(known, measured) == expected


def test_named_arguments():
    assert common.split_named(["a=b", "c=d=e"]) == {"a": "b", "c": "d=e"}
    for wrong in (["a"], ["=b"], ["a="], ["a=b", "a=c"]):
        with pytest.raises(ValueError, match="expected NAME=FILE"):
            common.split_named(wrong)


def test_a_markdown_table_has_a_head_and_a_rule():
    assert common.markdown_table(["a", "b"], [[1, "x"]]) == "| a | b |\n| --- | --- |\n| 1 | x |"


def test_a_grid_fills_its_last_row():
    tiles = numbered_pictures(3, 2, 2)
    grid = common.picture_grid(tiles, 2, fill=255)
    assert grid.shape == (4, 4, 3) and grid[::2, ::2, 0].tolist() == [[0, 1], [2, 255]]
    with pytest.raises(ValueError, match="at least one"):
        common.picture_grid([], 2)


def test_packs_are_chosen_by_name():
    parser = common.make_parser("")
    common.add_packs_option(parser, {"lfw": 0.5})
    assert common.packs_of(parser.parse_args([])) == {"lfw": 0.5}
    assert common.packs_of(parser.parse_args(["--pack", "mine=0.7", "--pack", "other"])) == {"mine": 0.7, "other": 1.0}
    with pytest.raises(SystemExit, match="expected NAME=SHARE with a share above 0"):
        common.packs_of(parser.parse_args(["--pack", "mine=none"]))


def test_figures_of_other_networks_are_kept_with_their_digests(tmp_path):
    new, out = tmp_path / "new.onnx", tmp_path / "report.json"
    new.write_bytes(b"new")
    out.write_text(json.dumps({"weights_sha256": {"a": "1", "b": "2"}, "networks": {"a": {"nme": 3}, "b": {"nme": 4}}}))
    options = common.make_parser("", out).parse_args([])
    for keep, names in ((True, ["a", "b"]), (False, ["b"])):
        options.keep = keep
        rows, digests = common.kept_rows(options, ["b"])
        common.save_report(options, common.__file__, {"networks": rows | {"b": {"nme": 2}}}, {"b": new}, digests)
        report = json.loads(out.read_text())
        assert list(report["networks"]) == list(report["weights_sha256"]) == names
        assert report["networks"]["b"]["nme"] == 2 and report["weights_sha256"]["b"] == common.sha256(new)
