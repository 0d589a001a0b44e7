import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from mfn.cli.main import main
from mfn.cli.studio import command
from mfn.cli.studio.command import delete_leftovers, free_port, parse

needs_gradio = pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra `studio`")


def test_this_machine_only_unless_asked():
    options = parse("studio", [])
    assert options.host == "127.0.0.1" and options.port is None and options.weights == "large"


def test_without_gradio_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert main(["studio"]) == 1
    assert capsys.readouterr().err == 'mfn: the page needs Gradio: pip install ".[studio]"\n'


@needs_gradio
def test_mistakes_are_one_line(capsys, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["studio", "--port", str(port)]) == 1
    assert capsys.readouterr().err.startswith(f"mfn: 127.0.0.1, port {port}: ")
    assert main(["studio", "--weights", "larg"]) == 1
    assert "did you mean 'large'" in capsys.readouterr().err
    assert main(["studio", "--certificate", "c.pem"]) == 1
    assert "give both or none" in capsys.readouterr().err


def test_free_ports():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert free_port("127.0.0.1", None) != taken.getsockname()[1]
        with pytest.raises(OSError, match="choose another with --host or --port"):
            free_port("127.0.0.1", taken.getsockname()[1])


def test_folders_of_killed_pages_are_deleted(tmp_path, monkeypatch):
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for number in (os.getpid(), 2**22 + 1):  # the second is above the largest number of a process
        (tmp_path / f"mfn-studio-{number}-x").mkdir()
    delete_leftovers()
    assert [path.name for path in tmp_path.iterdir()] == [f"mfn-studio-{os.getpid()}-x"]


@needs_gradio
def test_the_command_serves_and_leaves_nothing_behind(spots, tmp_path):
    with socket.socket() as free:  # a port of its own: other tests start pages at the same time
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "mfn", "studio", "--weights", str(spots), "--threads", "1", "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout is not None and running.stderr is not None
        line = running.stdout.readline()
        assert line.startswith(f"mfn studio: open http://127.0.0.1:{port}"), running.stderr.read()
        assert list(tmp_path.glob("mfn-studio-*"))
        with urllib.request.urlopen(line.split()[3]) as answer:
            assert answer.headers["content-security-policy"] and b"mfn studio" in answer.read()
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0 and "Traceback" not in running.stderr.read()
    assert not list(tmp_path.glob("mfn-studio-*"))
