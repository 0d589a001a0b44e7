import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mfn.batch.run import Progress
from mfn.cli.batch import duration, progress_text
from mfn.cli.main import main
from retarget.io.images import write_image

ROOT = Path(__file__).parents[3]
KILLS = 4


@pytest.fixture
def photos(crowd):
    """A folder of 30 pictures with 0, 1 or 2 spots each, and a damaged one."""
    (crowd / "photos").mkdir()
    for i in range(30):
        picture = np.zeros((96, 160, 3), np.uint8)
        picture[16:24, 32:40] = 255 * (i % 3 > 0)
        picture[48:56, 96:104] = 255 * (i % 3 > 1)
        write_image(crowd / "photos" / f"{i:02d}.png", picture)
    (crowd / "photos" / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    return crowd


def command(spots, *arguments):
    return ["batch", *map(str, arguments), "--weights", str(spots), "--min-face", "24", "--workers", "1"]


def rows(path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_of_a_folder(photos, spots, capsys):
    assert main(command(spots, "photos", "--csv", "faces.csv")) == 0
    faces, pictures, failures = rows("faces.csv"), rows("faces.pictures.csv"), rows("faces.failures.csv")
    assert [p["path"] for p in pictures] == [f"photos/{i:02d}.png" for i in range(30)]
    assert len(faces) == sum(int(p["faces"]) for p in pictures) == 30
    assert [f["path"] for f in failures] == ["photos/bad.jpg"]
    assert faces[0]["path"] == "photos/01.png" and float(faces[0]["score"]) > 0.9 and len(faces[0]["identity"].split()) == 64
    out = capsys.readouterr().out
    assert "30 pictures, 30 faces, 1 failures" in out and "wrote faces.csv, faces.pictures.csv and faces.failures.csv" in out
    assert main(command(spots, "photos", "--csv", "faces.csv", "--resume")) == 1
    assert "this job is finished" in capsys.readouterr().err
    assert main(command(spots, "photos", "--csv", "faces.csv")) == 1
    assert "faces.csv: exists already" in capsys.readouterr().err and not (photos / "faces.csv.parts").exists()


def test_a_run_that_is_killed_again_and_again_gives_what_an_unbroken_run_gives(photos, spots):
    assert main(command(spots, "photos", "--jsonl", "whole.jsonl", "--part", "2", "--quiet")) == 0
    chance = random.Random(0)
    arguments = command(spots, "photos", "--jsonl", "broken.jsonl", "--part", "2", "--resume", "--quiet")
    done = photos / "broken.jsonl.parts" / "pictures"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for _ in range(KILLS):
        run = subprocess.Popen([sys.executable, "-m", "mfn", *arguments], env=environment)
        wanted = len(list(done.glob("part-*"))) + chance.randint(0, 4)
        while run.poll() is None and (not done.is_dir() or len(list(done.glob("part-*"))) < wanted):
            time.sleep(0.002)
        time.sleep(chance.random() * 0.02)
        run.send_signal(signal.SIGKILL)
        run.wait()
    finished = (photos / "broken.jsonl").exists()  # the last kill may have come too late
    assert finished or main(arguments) == 0
    for table in ("", ".pictures", ".failures"):
        assert (photos / f"broken{table}.jsonl").read_bytes() == (photos / f"whole{table}.jsonl").read_bytes()
    assert not list(photos.glob("*.parts"))


def test_parquet_needs_no_ray_on_one_machine(photos, spots):
    pq = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra batch")
    assert main(command(spots, "photos/0*.png", "--out", "faces.parquet", "--engine", "processes", "--quiet")) == 0
    table = pq.read_table("faces.parquet")
    assert table.num_rows == 9 and table.column("eyeBlinkLeft").type == "float"
    (photos / "photos" / "new.png").write_bytes((photos / "photos" / "02.png").read_bytes())
    again = command(spots, "photos/0*.png", "photos/new.png", "--out", "faces.parquet", "--engine", "processes", "--quiet", "--resume")
    assert main(again) == 0
    assert pq.read_table("faces.parquet").num_rows == 11 and pq.read_table("faces.pictures.parquet").num_rows == 11


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["photos"], 2, "one of the arguments --out --csv --jsonl is required"),
        (["--csv", "a.csv"], 2, "expected pictures, folders or URLs"),
        (["photos", "--out", "faces"], 1, "faces: expected a name that ends in .parquet, .csv or .jsonl"),
        (["photos", "--csv", "faces.txt"], 1, "--csv faces.txt: expected a name that ends in .csv"),
        (["photos", "--csv", "a.csv", "--retry-failed"], 1, "--retry-failed: give --resume too"),
        (["photos", "--csv", "a.csv", "--engine", "processes", "--address", "auto"], 1, "only with --engine ray"),
        (["photos", "--csv", "a.csv", "--device", "gpu"], 1, "expected a device among cpu, cuda"),
        (["photos", "--csv", "a.csv", "--device", "rocm"], 1, "this ONNX Runtime has no ROCMExecutionProvider"),
        (["none.jpg", "--csv", "a.csv"], 1, ""),
    ],
)
def test_mistakes(photos, spots, capsys, arguments, code, message):
    assert main(command(spots, *arguments)) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["--list", "faulty://bucket/names.txt", "--csv", "a.csv"], "names.txt"),
        (["photos", "--out", "faulty://bucket/faces.parquet", "--engine", "processes"], "faces.parquet/_job/job.json"),
    ],
)
def test_a_bucket_that_refuses_is_one_line(photos, spots, capsys, arguments, file):
    pytest.importorskip("pyarrow", reason="Parquet needs the extra batch")
    import tests.mfn.batch.faulty_bucket  # noqa: F401  # registers faulty://

    assert main(command(spots, *arguments, "--quiet")) == 1
    assert capsys.readouterr().err == f"mfn: faulty://bucket/{file}: 403, no access\n"


def test_progress():
    started = time.monotonic() - 10
    assert progress_text(Progress(0, 5000, 0, started)) == "0 of 5,000 pictures"
    text = progress_text(Progress(1200, 5000, 200, started))
    assert text.startswith("1,200 of 5,000 pictures, 100.0 pictures/s, 38 s left")
    assert [duration(s) for s in (9, 180, 7500)] == ["9 s", "3 min", "2 h 5 min"]
