import pytest

from mfn.batch.engines.worker import PartReader, Reading
from mfn.batch.tables.job import JobFiles, Part, PartCount, join_parts, start_job
from mfn.inference.predictor import Predictor

PHOTOS = ("photos/a.png", "photos/b.png", "photos/more/bad.jpg", "photos/more/c.png", "none.png", "photos/more/d.png")


def read_all(folder, predictor, batch=1, **options) -> list[list[str]]:
    """Read PHOTOS as one part. Returns the lines of the three tables without their heads."""
    files = JobFiles.of(str(folder / "faces.csv"))
    job = start_job(files, PHOTOS, {}, 10)
    reading = Reading(files, predictor, options.pop("max_pixels", 1 << 28), batch)
    seen = []
    count = PartReader(reading, seen.append).read(Part(0, PHOTOS), **options)
    join_parts(job)
    assert seen == list(range(6))
    tables = [(folder / f"faces{kind}.csv").read_text().splitlines()[1:] for kind in ("", ".pictures", ".failures")]
    assert count == PartCount(0, len(tables[1]), len(tables[0]), len(tables[2]))
    return tables


@pytest.fixture
def predictor(spots):
    return Predictor.load(spots, min_face_px=24, threads=1)


@pytest.mark.parametrize("batch", [1, 3])
def test_rows_of_a_part(photos, predictor, batch):
    faces, pictures, failures = read_all(photos, predictor, batch)
    assert [line.split(",")[:2] for line in faces] == [
        ["photos/b.png", "0"],
        ["photos/more/c.png", "0"],
        ["photos/more/c.png", "1"],
        ["photos/more/d.png", "0"],
    ]
    assert [line.split(",")[-1] for line in pictures] == ["0", "1", "2", "1"]
    assert [line.split(",")[0] for line in failures] == ["photos/more/bad.jpg", "none.png"]
    assert "JPEG" in failures[0] and "no such file" in failures[1]


def test_pictures_that_ended_a_process_and_large_ones_are_not_read(photos, predictor):
    _, pictures, failures = read_all(photos, predictor, fatal={1: "it ended the process"}, max_pixels=96 * 160 - 1)
    assert not pictures and len(failures) == 6
    assert "photos/b.png,it ended the process" in failures and "--max-megapixels" in failures[0]


def test_the_worker_has_the_device(photos, predictor, monkeypatch):
    """The machine that starts a job on a cluster may have no GPU."""
    loaded = []
    monkeypatch.setattr(Predictor, "on", lambda self, device: loaded.append(device) or predictor)
    reading = Reading(JobFiles.of(str(photos / "faces.csv")), predictor, 1 << 28, device="cuda:1")
    PartReader(reading)
    assert loaded == ["cuda:1"]
