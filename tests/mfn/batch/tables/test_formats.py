import csv
import io
import json
from pathlib import Path

import pytest

from mfn.batch.tables.columns import FAILURE_COLUMNS, TABLES, Column, Rows
from mfn.batch.tables.formats import encode_rows, format_of, header
from retarget.arkit import EXPRESSION_NAMES

COLUMNS = (
    Column("path", "text", "where"),
    Column("count", "integer", "how many"),
    Column("value", "number", "how much"),
    Column("flag", "flag", "whether"),
    Column("list", "numbers", "numbers"),
)
ROWS = [
    {"path": 'é,"x"\n', "count": 3, "value": 0.1234567891, "flag": True, "list": [1.5, 2.0]},
    {"path": "b", "count": 0, "value": float("nan"), "flag": None, "list": []},
]


def test_csv():
    text = (header(COLUMNS, "csv") + encode_rows(ROWS, COLUMNS, "csv")).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["path", "count", "value", "flag", "list"],
        ['é,"x"\n', "3", "0.1234568", "true", "1.5 2.0"],
        ["b", "0", "", "", ""],
    ]


def test_json_lines():
    lines = encode_rows(ROWS, COLUMNS, "jsonl").decode().splitlines()
    assert json.loads(lines[0]) == {"path": 'é,"x"\n', "count": 3, "value": 0.1234568, "flag": True, "list": [1.5, 2.0]}
    assert json.loads(lines[1]) == {"path": "b", "count": 0, "value": None, "flag": None, "list": []}
    assert header(COLUMNS, "jsonl") == b""


def test_parquet():
    pq = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra batch")
    table = pq.read_table(io.BytesIO(encode_rows(ROWS, COLUMNS, "parquet")))
    assert table.column("flag").to_pylist() == [True, None] and table.column("list").to_pylist() == [[1.5, 2.0], []]
    assert table.schema.metadata[b"mfn_format"] == b"1" and table.schema.field("value").metadata == {b"meaning": b"how much"}
    assert pq.read_table(io.BytesIO(encode_rows([], COLUMNS, "parquet"))).schema.equals(table.schema)


def test_the_suffix_chooses_the_format():
    assert [format_of(name) for name in ("a.parquet", "a.b.CSV", "s3://x/a.jsonl")] == ["parquet", "csv", "jsonl"]
    with pytest.raises(ValueError, match=r"faces: expected a name that ends in \.parquet, \.csv or \.jsonl"):
        format_of("faces")


def test_columns_are_named_once_and_explained():
    for columns in TABLES.values():
        names = [column.name for column in columns]
        assert len(set(names)) == len(names) and names[0] == "path"
        assert all(column.meaning for column in columns)


def test_the_guide_explains_every_column_in_the_same_words():
    page = (Path(__file__).parents[4] / "docs" / "guides" / "batch.md").read_text(encoding="utf-8")
    for columns in TABLES.values():
        for column in columns:
            if column.name not in EXPRESSION_NAMES:
                assert f"| `{column.name}` | {column.kind} | {column.meaning} |" in page


def test_a_failure_has_one_line_without_its_path():
    rows = Rows()
    rows.fail("a.jpg", "a.jpg: a damaged JPEG image")
    assert rows.failures == [{"path": "a.jpg", "reason": "a damaged JPEG image"}] and len(FAILURE_COLUMNS) == 2
