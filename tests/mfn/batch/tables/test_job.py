import shutil
from pathlib import Path

import pytest

from mfn.batch.run import BatchOptions, run_batch
from mfn.batch.tables import storage
from mfn.batch.tables.columns import Rows
from mfn.batch.tables.job import (
    JobFiles,
    Part,
    PartCount,
    join_parts,
    only_run,
    part_size,
    remove_leftovers,
    resume_job,
    start_job,
    write_part,
)

PATHS = ["a", "b", "c", "d", "e"]
OPTIONS = {"network": "one"}


def rows(*paths, failures=()) -> Rows:
    return Rows([{"path": p, "face": 0} for p in paths], [{"path": p, "faces": 1} for p in paths], [{"path": p} for p in failures])


@pytest.fixture
def files(tmp_path):
    return JobFiles.of(str(tmp_path / "faces.csv"))


def test_parts_are_open_until_their_pictures_are_written(files):
    job = start_job(files, PATHS, OPTIONS, 2)
    assert list(job.parts()) == [Part(0, ("a", "b")), Part(1, ("c", "d")), Part(2, ("e",))]
    assert write_part(files, 1, rows("c", failures="d")) == PartCount(1, 1, 1, 1)
    again = resume_job(files, PATHS, OPTIONS)
    assert again == job and [part.number for part in again.open_parts()] == [0, 2]
    assert [part.number for part in again.open_parts(retry_failed=True)] == [0, 1, 2]
    write_part(files, 1, rows("c", "d"))
    assert [part.number for part in again.open_parts(retry_failed=True)] == [0, 2]


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_part_that_is_read_again_is_open_until_all_its_tables_are_new(files, monkeypatch, written):
    job = start_job(files, PATHS, OPTIONS, 2)
    write_part(files, 1, rows("c", failures="d"))
    left, write_whole = [written], storage.write_whole

    def write(path, data):
        if not left[0]:
            raise KeyboardInterrupt  # the run is killed here
        left[0] -= 1
        write_whole(path, data)

    monkeypatch.setattr(storage, "write_whole", write)
    with pytest.raises(KeyboardInterrupt):
        write_part(files, 1, rows("c", "d") if written < 2 else rows("c", failures="d"))
    assert 1 in [part.number for part in job.open_parts()]


def test_new_pictures_become_further_parts(files):
    start_job(files, PATHS, OPTIONS, 2)
    job = resume_job(files, ["0", *PATHS, "z"], OPTIONS)
    assert list(job.parts())[3:] == [Part(3, ("0", "z"))]
    assert resume_job(files, PATHS[:2], OPTIONS) == job  # a picture that has gone stays in the job


def test_a_picture_is_known_however_its_path_is_written(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = start_job(files, ["s1/a.png", "s3://bucket/a.png"], OPTIONS, 2)
    assert resume_job(files, [str(tmp_path / "s1" / "a.png"), "./s1/../s1/a.png", "s3://bucket/a.png"], OPTIONS) == job
    new = (str(tmp_path / "a.png"), "s3://bucket/./a.png")
    assert resume_job(files, new, OPTIONS).inputs[1:] == (new,)


def test_what_does_not_fit_is_refused(files):
    assert resume_job(files, PATHS, OPTIONS) is None
    start_job(files, PATHS, OPTIONS, 2)
    with pytest.raises(ValueError, match="go on with --resume"):
        start_job(files, PATHS, OPTIONS, 2)
    with pytest.raises(ValueError, match="begun with network one, now it is two"):
        resume_job(files, PATHS, {"network": "two"})


def test_a_damaged_manifest(files, tmp_path):
    start_job(files, PATHS, OPTIONS, 2)
    (tmp_path / "faces.csv.parts" / "_job" / "job.json").write_text("{")
    with pytest.raises(ValueError, match="a damaged manifest"):
        resume_job(files, PATHS, OPTIONS)


def test_parts_are_joined_in_order(files, tmp_path):
    job = start_job(files, PATHS, OPTIONS, 2)
    for number, paths in ((2, "e"), (0, "ab"), (1, "cd")):
        write_part(files, number, rows(*paths))
    join_parts(job)
    lines = (tmp_path / "faces.csv").read_text().splitlines()
    assert lines[0].startswith("path,face,") and [line[0] for line in lines[1:]] == PATHS
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces.csv", "faces.failures.csv", "faces.pictures.csv"]


def test_a_run_that_is_killed_while_parts_are_removed_leaves_no_job_to_resume(files, tmp_path, monkeypatch):
    job = start_job(files, PATHS, OPTIONS, 5)
    write_part(files, 0, rows(*PATHS))
    rmtree = shutil.rmtree

    def killed(folder, ignore_errors=False):
        if Path(folder).is_dir():
            rmtree(Path(folder, "faces"))
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        join_parts(job)
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    assert resume_job(files, PATHS, OPTIONS) is None and len((tmp_path / "faces.csv").read_text().splitlines()) == 6
    with pytest.raises(ValueError, match="this job is finished"):
        run_batch(None, PATHS, files.out, BatchOptions(resume=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces.csv", "faces.failures.csv", "faces.pictures.csv"]


def test_leftovers_of_a_killed_run_are_removed(files, tmp_path):
    start_job(files, PATHS, OPTIONS, 2)
    write_part(files, 0, rows("a"))
    left = tmp_path / "faces.csv.parts" / "faces" / ".part-000001.x.csv"
    left.write_text("half")
    remove_leftovers(files)
    assert not left.exists() and (left.parent / "part-000000.csv").is_file()


def test_only_one_run_at_a_time(files):
    pytest.importorskip("fcntl", reason="this system has no such lock")
    with only_run(files), pytest.raises(ValueError, match="another run is writing"), only_run(files):
        pass
    with only_run(files):
        pass


def test_a_folder_that_is_no_job_is_not_written_into(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs the extra batch")
    (tmp_path / "faces.parquet").mkdir()
    (tmp_path / "faces.parquet" / "x").write_text("mine")
    with pytest.raises(ValueError, match="exists already"):
        start_job(JobFiles.of(str(tmp_path / "faces.parquet")), PATHS, OPTIONS, 2)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("table", ["faces", "pictures", "failures"])
def test_no_table_is_overwritten(tmp_path, form, table):
    files = JobFiles.of(str(tmp_path / f"faces.{form}"))
    with open(files.final(table), "w") as file:
        file.write("mine")
    with pytest.raises(ValueError, match=f"{table}.*exists already" if table != "faces" else "exists already"):
        start_job(files, PATHS, OPTIONS, 2)


def test_a_table_in_a_bucket_is_not_overwritten():
    pytest.importorskip("pyarrow", reason="Parquet needs the extra batch")
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe_file("/taken/faces.pictures.parquet/part-000000.parquet", b"mine")
    with pytest.raises(ValueError, match=r"faces\.pictures\.parquet: exists already"):
        start_job(JobFiles.of("memory://taken/faces.parquet"), PATHS, OPTIONS, 2)


def test_a_job_in_a_bucket():
    pytest.importorskip("pyarrow", reason="Parquet needs the extra batch")
    files = JobFiles.of("memory://bucket/faces.parquet/")
    job = start_job(files, PATHS, OPTIONS, 2)
    write_part(files, 0, rows("a", failures="b"))
    assert [part.number for part in resume_job(files, PATHS, OPTIONS).open_parts()] == [1, 2]
    write_part(files, 0, rows("a", "b"))
    assert [part.number for part in job.open_parts(retry_failed=True)] == [1, 2]
    with pytest.raises(ValueError, match="only Parquet"):
        JobFiles.of("memory://bucket/faces.csv")


@pytest.mark.parametrize(("pictures", "workers", "wanted", "size"), [(10, 2, 0, 1), (1000, 2, 0, 63), (10**6, 4, 0, 256), (10, 2, 5, 5)])
def test_part_size(pictures, workers, wanted, size):
    assert part_size(pictures, workers, wanted) == size
