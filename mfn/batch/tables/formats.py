"""Write rows of a table as Parquet, CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np

from mfn.batch.tables.columns import FORMAT, Column, Row

if TYPE_CHECKING:
    import pyarrow

FileFormat = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[str, ...] = get_args(FileFormat)
_DIGITS = 7  # of a float32


def format_of(path: str) -> FileFormat:
    """Return the format that a file name asks for.

    Raises:
        ValueError: It asks for another one.
    """
    suffix = path.rstrip("/").rpartition(".")[2].lower()
    if suffix not in FORMATS:
        raise ValueError(f"{path}: expected a name that ends in .parquet, .csv or .jsonl")
    return cast("FileFormat", suffix)


def require_format(form: FileFormat) -> None:
    """Raise ImportError if the packages of a format are missing."""
    if form == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise ImportError('Parquet needs the extra batch: pip install ".[batch]"; .csv and .jsonl need nothing more') from None


def encode_rows(rows: Sequence[Row], columns: Sequence[Column], form: FileFormat) -> bytes:
    """Return the content of a file with these rows. A value that a row lacks is empty (CSV), null (JSON, Parquet).

    A CSV file has no header: the parts of a table are joined, and the header is written once.
    """
    if form == "parquet":
        return _parquet(rows, columns)
    return "".join(_csv_lines(rows, columns) if form == "csv" else _json_lines(rows, columns)).encode()


def header(columns: Sequence[Column], form: FileFormat) -> bytes:
    """Return what stands before the rows in a joined file."""
    return (",".join(column.name for column in columns) + "\r\n").encode() if form == "csv" else b""


def _json_lines(rows: Iterable[Row], columns: Sequence[Column]) -> Iterator[str]:
    for row in rows:
        yield json.dumps({c.name: _short(row.get(c.name), c) for c in columns}, ensure_ascii=False, allow_nan=False) + "\n"


def _csv_lines(rows: Iterable[Row], columns: Sequence[Column]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([_cell(_short(row.get(c.name), c)) for c in columns])
    yield text.getvalue()


def _cell(value: object) -> object:
    """Return a value as CSV shows it: true, false, empty; a list with blanks between its numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "" if value is None else value


def _short(value: object, column: Column) -> object:
    """Return a value with the digits that a float32 holds; None for NaN and infinity."""
    if value is None:
        return None
    if column.kind == "number":
        return _number(cast("float", value))
    return [_number(v) for v in cast("list[float]", value)] if column.kind == "numbers" else value


def _number(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None


def _parquet(rows: Sequence[Row], columns: Sequence[Column]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = parquet_schema(columns)
    arrays = [pa.array([row.get(column.name) for row in rows], field.type) for column, field in zip(columns, schema)]
    memory = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), memory, compression="zstd")
    return memory.getvalue()


def parquet_schema(columns: Sequence[Column]) -> pyarrow.Schema:
    """Return the schema of a table. Its metadata has the version of the columns, and each field its meaning."""
    import pyarrow as pa

    types = {"text": pa.string(), "integer": pa.int64(), "number": pa.float32(), "flag": pa.bool_(), "numbers": pa.list_(pa.float32())}
    fields = [pa.field(c.name, types[c.kind], metadata={"meaning": c.meaning}) for c in columns]
    return pa.schema(fields, metadata={"mfn_format": str(FORMAT)})
