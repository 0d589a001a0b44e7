import os
import signal
import threading

import pytest

from retarget.io.progress import GracefulInterrupt


def test_ctrl_c_is_a_request_that_is_taken_once():
    before = signal.getsignal(signal.SIGINT)
    with GracefulInterrupt() as interrupt:
        assert not interrupt.take_request()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.take_request() and not interrupt.take_request()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_may_use_it():
    results = []

    def work() -> None:
        with GracefulInterrupt() as interrupt:
            results.append(interrupt.take_request())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [False]
