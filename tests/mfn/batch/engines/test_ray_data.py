"""What an actor does with a part. `experiments/speed/batch/cluster.py` runs real clusters and kills their nodes."""

import json

import pytest

from mfn.batch.engines.ray_data import PartActor, run_on_ray
from mfn.batch.engines.worker import Reading
from mfn.batch.tables.job import JobFiles, start_job
from mfn.inference.predictor import Predictor

PHOTOS = ["photos/a.png", "photos/b.png", "photos/more/bad.jpg"]


@pytest.fixture
def reading(photos, spots):
    files = JobFiles.of(str(photos / "faces.csv"))
    start_job(files, PHOTOS, {}, 10)
    return Reading(files, Predictor.load(spots, min_face_px=24, threads=1), 1 << 28)


def test_an_actor_reads_a_part_and_returns_its_counts(reading, photos):
    count = PartActor(reading)({"number": 0, "paths": json.dumps(PHOTOS)})
    assert count == {"number": 0, "pictures": 2, "faces": 1, "failures": 1}
    assert (photos / "faces.csv.parts" / "pictures" / "part-000000.csv").is_file()
    assert not list((photos / "faces.csv.parts" / "_job").glob("attempts*"))


def test_a_part_that_ended_three_actors_is_read_in_a_process_of_its_own(reading, photos, monkeypatch):
    (photos / "faces.csv.parts" / "_job" / "attempts-000000.txt").write_text("3")
    monkeypatch.setattr("mfn.batch.engines.worker.PartReader.read", None)  # the process has its own
    count = PartActor(reading)({"number": 0, "paths": json.dumps(PHOTOS)})
    assert count == {"number": 0, "pictures": 2, "faces": 1, "failures": 1}


def test_without_ray_one_line_names_the_extra(reading, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ImportError, match=r'pip install "\.\[batch\]"'):
        next(run_on_ray(reading, [], 1, ""))
