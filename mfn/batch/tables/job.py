"""A job: what is read, what is written, and which parts are done. A job that was killed goes on where it was.

The pictures are divided into parts of equal size, in the order of the list. A part is read by one worker, which writes its
rows as one file a table. The file of the table `pictures` is written last: a part is done if this file exists. A part that
was not done is read again as a whole, and its files replace what lies there. Before they do, the old file of `pictures` goes.
So no row is lost and none is written twice.

    faces.parquet/part-000000.parquet ...            one row a face
    faces.pictures.parquet/part-000000.parquet ...   one row a picture
    faces.failures.parquet/part-000000.parquet ...   one row a picture that could not be read; no file if there is none
    faces.parquet/_job/                              job.json, inputs-000.json ...: the manifest

CSV and JSON lines have the same parts in faces.csv.parts/ until all are done. Then they are joined into faces.csv, faces.pictures.csv
and faces.failures.csv.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mfn.batch.tables import storage
from mfn.batch.tables.columns import FORMAT, TABLES, Rows
from mfn.batch.tables.formats import FileFormat, encode_rows, format_of, header, require_format
from mfn.batch.urls import absolute, is_url
from retarget.io.files import atomic_write, make_folder

_JOB, _INPUTS = "job.json", "inputs-{:03d}.json"
PART_PICTURES = 256
"""Largest number of pictures of a part, unless the user chooses another."""
_PARTS_A_WORKER = 8  # a small job is divided into so many parts for each worker, so that all finish at about the same time


class Part(NamedTuple):
    """Some pictures that one worker reads: number of the part, and their paths."""

    number: int
    paths: tuple[str, ...]


class PartCount(NamedTuple):
    """How many rows of each table a finished part has."""

    number: int
    pictures: int
    faces: int
    failures: int


@dataclass(frozen=True)
class JobFiles:
    """Where the files of a job lie.

    Attributes:
        out: The file or folder that the user named.
        form: Format of the tables.
    """

    out: str
    form: FileFormat

    @classmethod
    def of(cls, out: str) -> JobFiles:
        """Return the files of a job that writes to `out`.

        Raises:
            ValueError: The name has another suffix, or CSV and JSON lines are to go into a bucket.
        ImportError: The packages of the format are missing.
        """
        form = format_of(out)
        if form != "parquet" and is_url(out):
            raise ValueError(f"{out}: only Parquet is written into a bucket; choose a local file")
        require_format(form)
        return cls(out.rstrip("/"), form)

    @property
    def state(self) -> str:
        """Folder of the manifest."""
        return storage.join(self.out, "_job") if self.form == "parquet" else storage.join(f"{self.out}.parts", "_job")

    def final(self, table: str) -> str:
        """Path of a finished table: a folder of Parquet files, or a file."""
        stem = self.out[: -len(self.form) - 1]
        return self.out if table == "faces" else f"{stem}.{table}.{self.form}"

    def folder(self, table: str) -> str:
        """Folder of the parts of a table."""
        return self.final(table) if self.form == "parquet" else storage.join(f"{self.out}.parts", table)

    def part(self, table: str, number: int) -> str:
        """Path of one part of a table."""
        return storage.join(self.folder(table), f"part-{number:06d}.{self.form}")


@dataclass(frozen=True)
class Job:
    """A job on disk: its files, the largest number of pictures of a part, and the lists of pictures of each run that added some."""

    files: JobFiles
    part_pictures: int
    inputs: tuple[tuple[str, ...], ...]

    def parts(self) -> Iterator[Part]:
        """Yield all parts, done or not."""
        number = 0
        for paths in self.inputs:
            for start in range(0, len(paths), self.part_pictures):
                yield Part(number, paths[start : start + self.part_pictures])
                number += 1

    def open_parts(self, retry_failed: bool = False) -> list[Part]:
        """Return the parts that are not done; with `retry_failed` also those with failures."""
        done = _numbers(self.files, "pictures")
        if retry_failed:
            done -= _numbers(self.files, "failures")
        return [part for part in self.parts() if part.number not in done]


def has_job(files: JobFiles) -> bool:
    """Return whether a job was begun here and is not finished. A finished job of Parquet tables counts too."""
    return storage.exists(storage.join(files.state, _JOB))


def require_free(files: JobFiles) -> None:
    """Check that a new job would replace nothing.

    Raises:
        ValueError: There is a job or one of its tables already.
    """
    if has_job(files):
        raise ValueError(f"{files.out}: a job wrote here before; go on with --resume, or choose another name")
    for path in map(files.final, TABLES):
        if files.form == "parquet" and storage.is_folder(path):
            occupied = bool(set(storage.list_names(path)) - {"_job"})  # the lock of this run may be there
        else:
            occupied = storage.exists(path)
        if occupied:
            raise ValueError(f"{path}: exists already; choose another name")


def start_job(files: JobFiles, paths: Sequence[str], options: Mapping[str, object], part_pictures: int) -> Job:
    """Begin a job and write its manifest.

    Args:
        files: Where it writes.
        paths: All pictures.
        options: What the rows depend on, as JSON values; a run that resumes must have the same.
        part_pictures: Largest number of pictures of a part.

    Raises:
        ValueError: There is a job or one of its tables already.
    """
    require_free(files)
    _write_inputs(files, 0, paths)
    content = {"format": FORMAT, "part_pictures": part_pictures, "options": dict(options)}
    storage.write_whole(storage.join(files.state, _JOB), (json.dumps(content, indent=1) + "\n").encode())
    return Job(files, part_pictures, (tuple(paths),))


def resume_job(files: JobFiles, paths: Sequence[str], options: Mapping[str, object]) -> Job | None:
    """Go on with a job. Pictures that are new in the list are added as further parts. Arguments as for `start_job`.

    A picture is known however its path is written. Relative paths, those of the job too, count from the present directory: it should be
    the one in which the job was begun.

    Returns:
        The job, or None if none was begun here.

    Raises:
        ValueError: It was begun with other options, or its manifest is damaged.
    """
    content = storage.read_whole(storage.join(files.state, _JOB))
    if content is None:
        return None
    try:
        manifest = json.loads(content)
        known, part_pictures, form = dict(manifest["options"]), int(manifest["part_pictures"]), manifest["format"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{files.state}: a damaged manifest; choose another name for the output") from None
    differing = [name for name in (*known, *(n for n in options if n not in known)) if known.get(name) != options.get(name)]
    if differing or form != FORMAT:
        name = differing[0] if differing else "format"
        was, now = (known.get(name), options.get(name)) if differing else (form, FORMAT)
        raise ValueError(f"{files.out}: the job was begun with {name} {was}, now it is {now}; use the same, or another name")
    inputs = list(_read_inputs(files))
    listed = {absolute(path) for part in inputs for path in part}
    new = tuple(path for path in paths if absolute(path) not in listed)
    if new:
        _write_inputs(files, len(inputs), new)
        inputs.append(new)
    return Job(files, part_pictures, tuple(inputs))


def part_size(pictures: int, workers: int, wanted: int = 0) -> int:
    """Return how many pictures a part has: what the user wants, or as many as keep all workers busy, at most PART_PICTURES."""
    return wanted or max(1, min(PART_PICTURES, -(-pictures // (workers * _PARTS_A_WORKER))))


def write_part(files: JobFiles, number: int, rows: Rows) -> PartCount:
    """Write the rows of a part. The table `pictures`, which marks it as done, comes last; that of an earlier reading goes first."""
    storage.remove(files.part("pictures", number))
    tables = {"faces": rows.faces, "failures": rows.failures, "pictures": rows.pictures}
    for table, content in tables.items():
        path = files.part(table, number)
        if table == "failures" and not content:
            storage.remove(path)
        else:
            storage.write_whole(path, encode_rows(content, TABLES[table], files.form))
    return PartCount(number, len(rows.pictures), len(rows.faces), len(rows.failures))


def join_parts(job: Job) -> None:
    """Join the parts of finished CSV or JSON lines tables, each whole or not at all, and remove the parts. Parquet stays as it is.

    The folder of the parts gets another name in one step, before it is removed file by file. A run that resumes while only some of
    the parts are left would take the rest for the whole.
    """
    files = job.files
    if files.form == "parquet":
        return

    def write(path: Path, table: str) -> None:
        with path.open("wb") as file:
            file.write(header(TABLES[table], files.form))
            for number in sorted(_numbers(files, table)):
                file.write(storage.read_whole(files.part(table, number)) or b"")

    for table in TABLES:
        atomic_write(files.final(table), partial(write, table=table))
    remove_joined_parts(files)
    Path(f"{files.out}.parts").rename(_joined(files))
    remove_joined_parts(files)


def remove_joined_parts(files: JobFiles) -> None:
    """Remove what is left of parts that were joined, if a run was killed while it removed them."""
    if files.form != "parquet":
        shutil.rmtree(_joined(files), ignore_errors=True)


def _joined(files: JobFiles) -> Path:
    """Return the name that the folder of the parts gets when they are joined."""
    return Path(files.out).with_name(f".{Path(files.out).name}.parts.done")


def remove_leftovers(files: JobFiles) -> None:
    """Remove temporary files that a killed run left in the folders of the tables."""
    for table in TABLES:
        for name in storage.list_names(files.folder(table)):
            if name.startswith("."):
                storage.remove(storage.join(files.folder(table), name))


@contextmanager
def only_run(files: JobFiles) -> Iterator[None]:
    """Hold the job for this process, so that two runs never write to one output. Buckets and Windows have no such lock.

    Raises:
        ValueError: Another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    if is_url(files.out):
        yield
        return
    folder = make_folder(Path(files.state))
    with (folder / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"{files.out}: another run is writing to it; wait until it ends, or choose another name") from None
        yield


def _numbers(files: JobFiles, table: str) -> set[int]:
    """Return the numbers of the parts of a table that exist."""
    names = (name.removeprefix("part-").partition(".")[0] for name in storage.list_names(files.folder(table)))
    return {int(name) for name in names if name.isdecimal()}


def _write_inputs(files: JobFiles, number: int, paths: Sequence[str]) -> None:
    data = json.dumps(list(paths), indent=0, ensure_ascii=False).encode("utf-8", "surrogateescape")
    storage.write_whole(storage.join(files.state, _INPUTS.format(number)), data)


def _read_inputs(files: JobFiles) -> Iterator[tuple[str, ...]]:
    number = 0
    while (data := storage.read_whole(storage.join(files.state, _INPUTS.format(number)))) is not None:
        yield tuple(json.loads(data.decode("utf-8", "surrogateescape")))
        number += 1
