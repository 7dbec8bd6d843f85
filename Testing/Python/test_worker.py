"""The worker process: real processes that work, crash, are killed, hang, and whose parent dies."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import textwrap
import time
import traceback
from pathlib import Path

import numpy as np
import psutil
import pytest
import shared_memory
import worker_cases

from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.engine.worker import launching, protocol
from SegmentationAILib.engine.worker.child import Child
from SegmentationAILib.engine.worker.client import Worker
from SegmentationAILib.engine.worker.errors import ProtocolMismatch, WorkerDied, WorkerFailed
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.failure import explain
from SegmentationAILib.volume import DicomSource, Grid, Volume

CASES = ["worker_cases"]
# Far longer than anything here takes; only a fault lets it pass.
LONG_S = 300.0


@pytest.fixture(autouse=True)
def no_memory_left():
    with shared_memory.nothing_left():
        yield


def ct(shape: tuple[int, int, int] = (12, 20, 16), seed: int = 0) -> Volume:
    matrix = np.array([[-0.7, 0.1, 0, 50], [0.1, 0.7, 0, -20], [0, 0, 2.5, 1 / 3], [0, 0, 0, 1]])
    array = np.random.default_rng(seed).integers(-1024, 1500, shape).astype(np.int16)
    source = DicomSource("1.2.3", "1.2.4", sop_instance_uids=tuple(f"1.2.5.{n}" for n in range(shape[0])))
    return Volume(array, Grid(shape, matrix), "chest ä", "CT", source, ("one slice was missing",))


@pytest.fixture(scope="module")
def warm():
    with Worker.start(tasks=CASES) as worker:
        yield worker


@pytest.fixture
def worker():
    with Worker.start(tasks=CASES) as worker:
        yield worker


def wait_until(condition) -> None:
    until = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def wait_for_rest(worker: Worker) -> None:
    """A process that has not come to its next step when the next run is sent is killed, however slow the machine."""
    wait_until(lambda: not worker.busy)


def begin_deaf(worker: Worker, tmp_path: Path, **options):
    """A run that looks at no token, once it has begun."""
    begun = tmp_path / "begun"
    job = worker.submit(Task("deaf", {"begun": str(begun), **options}), ct())
    wait_until(lambda: job.poll() or begun.exists())
    return job


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_labels_are_those_of_the_same_task_in_this_process(warm):
    task = Task("threshold", {"hu": 100})
    here = worker_cases.threshold(ct(), task, Progress())
    there = warm.run(task, ct())
    np.testing.assert_array_equal(there.array, here.array)
    assert there.array.dtype == here.array.dtype
    assert there.grid.same_as(here.grid, 0.0)
    assert there.structures == here.structures


@pytest.mark.parametrize("dtype", ["i2", ">i2", "u1", "f4", "f8", "?"])
def test_volume_crosses_whole(warm, dtype):
    volume = ct().with_array(ct().array.astype(dtype)[:, ::-1])
    back = warm.run(Task("echo"), volume)
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_array_equal(back.ijk_to_ras, volume.ijk_to_ras)
    assert back.array.dtype == volume.array.dtype
    assert (back.name, back.modality, back.source, back.notes) == (
        volume.name,
        volume.modality,
        volume.source,
        volume.notes,
    )


def test_large_volume_crosses_by_memory_alone(warm, monkeypatch):
    sent = []
    write = protocol.write
    monkeypatch.setattr(
        protocol, "write", lambda stream, kind, **held: (sent.append(json.dumps(held)), write(stream, kind, **held))
    )
    array = np.zeros((400, 512, 512), np.int16)
    array[::7, 5, 3] = 11
    volume = Volume(array, Grid(array.shape, np.eye(4)), modality="CT")
    assert array.nbytes > 200e6
    assert warm.run(Task("describe"), volume)["sum"] == int(array.sum(dtype=np.int64))
    assert max(map(len, sent)) < 2000


def test_task_may_do_without_a_volume(warm):
    found = warm.run(Task("describe"), None)
    assert found["sum"] is None
    np.testing.assert_array_equal(found["axis"], np.arange(3))


def test_model_stays_warm(warm):
    first, second = (warm.run(Task("describe"), ct()) for _ in range(2))
    assert first["loads"] == second["loads"] == 1
    assert first["pid"] == second["pid"]


def test_reports_come_all_and_in_order(warm):
    reports = []
    job = warm.submit(Task("steps", {"count": 300}), ct(), lambda *report: reports.append(report))
    assert job.result(LONG_S) == {"steps": 300}
    assert reports == [(n / 300, f"step {n}") for n in range(300)]
    assert (job.fraction, job.text) == reports[-1]


def test_polling_is_all_that_an_application_needs_to_do(warm):
    """Slicer's main thread may hold Python's lock between its calls, so that no other thread runs."""
    job = warm.submit(Task("steps", {"count": 300}), ct())
    until = time.monotonic() + LONG_S
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10 * LONG_S)
    try:
        while not job.poll() and time.monotonic() < until:
            next_poll = time.monotonic() + 0.02
            while time.monotonic() < next_poll:
                pass
    finally:
        sys.setswitchinterval(interval)
    assert job.finished
    assert job.result() == {"steps": 300}


def test_what_libraries_print_is_not_taken_for_messages(warm):
    assert warm.run(Task("noisy"), ct()) == {"read": 0}


def test_large_volume_is_copied_a_little_by_each_poll(warm):
    array = np.zeros((400, 512, 512), np.int16)
    array[::7, 5, 3] = 11
    job = warm.submit(Task("describe"), Volume(array, Grid(array.shape, np.eye(4)), modality="CT"))
    polls = 1
    while not job.poll() and not job.started:
        polls += 1
    # 16 MB and the rest of a piece each; the worker may begin before the last poll ends.
    assert polls >= array.nbytes // 24_000_000 > 5
    assert job.result(LONG_S)["sum"] == int(array.sum(dtype=np.int64))


def test_run_cancelled_before_its_volume_is_copied_never_begins(warm):
    pid = warm.pid
    array = np.zeros((400, 512, 512), np.int16)
    job = warm.submit(Task("describe"), Volume(array, Grid(array.shape, np.eye(4)), modality="CT"))
    job.poll()
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(LONG_S)
    assert warm.run(Task("steps", {"count": 1}), ct()) == {"steps": 1}
    assert warm.pid == pid


def test_nothing_listens_on_the_network(warm):
    process = psutil.Process(warm.run(Task("describe"), ct())["pid"])
    assert process.net_connections("inet") == []


def test_input_error_is_told_as_in_this_process(warm):
    pid = warm.pid
    with pytest.raises(InputError, match=r"^The volume is too small; choose a larger one\.$"):
        warm.run(Task("refuse"), ct())
    assert warm.pid == pid


def test_unknown_task_is_refused(warm):
    with pytest.raises(InputError, match=r"no task 'os\.system'; choose one of: threshold, "):
        warm.submit(Task("os.system"), ct())


def test_two_runs_at_once_are_refused(warm):
    job = warm.submit(Task("steps", {"count": 1000, "each_s": 0.01}), ct())
    with pytest.raises(InputError, match="Another run is in progress"):
        warm.submit(Task("echo"), ct())
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(LONG_S)
    wait_for_rest(warm)


def test_volume_larger_than_the_shared_memory_is_refused(warm):
    if not shared_memory.FOLDER.is_dir():
        pytest.skip("the system does not limit shared memory")
    shape = (10_000, 100_000, 100_000)
    with pytest.raises(InputError, match="MB of shared memory"):
        warm.submit(Task("echo"), Volume(np.broadcast_to(np.int16(0), shape), Grid(shape, np.eye(4))))
    assert warm.run(Task("steps", {"count": 1}), ct()) == {"steps": 1}


def test_cancelled_run_ends_and_the_process_stays(warm):
    pid = warm.pid
    job = warm.submit(Task("steps", {"count": 100_000, "each_s": 0.01}), ct())
    wait_until(lambda: job.poll() or job.fraction > 0)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(LONG_S)
    wait_for_rest(warm)
    assert warm.run(Task("describe"), ct())["loads"] == 1
    assert warm.pid == pid


def test_progress_of_a_plain_run_cancels_it(warm):
    token = CancelToken()
    texts = []

    def report(_fraction: float, text: str) -> None:
        texts.append(text)
        if "step" in text:
            token.cancel()

    with pytest.raises(Cancelled):
        warm.run(Task("steps", {"count": 100_000, "each_s": 0.01}), ct(), Progress(report, token))
    assert texts
    wait_for_rest(warm)


def test_run_that_does_not_react_counts_as_cancelled_and_the_next_works(worker, tmp_path):
    job = begin_deaf(worker, tmp_path)
    old = psutil.Process(worker.pid)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(LONG_S)
    assert worker.run(Task("steps", {"count": 1}), ct()) == {"steps": 1}
    assert is_gone(old)


def test_process_that_does_not_react_to_cancel_ends_itself(worker, tmp_path):
    job = begin_deaf(worker, tmp_path, stuck_s=0.2)
    job.cancel()
    wait_until(lambda: not worker.alive)
    with pytest.raises(Cancelled):
        job.result(LONG_S)


def test_killed_process_is_told_of_and_the_next_run_works(worker, tmp_path):
    job = begin_deaf(worker, tmp_path)
    psutil.Process(worker.pid).kill()
    with pytest.raises(WorkerDied, match=r"nothing was changed\. Run it again") as told:
        job.result(LONG_S)
    if sys.platform != "win32":
        assert told.value.exit_code == -9
        assert "SIGKILL" in str(told.value)
    assert worker.run(Task("steps", {"count": 1}), ct()) == {"steps": 1}


def test_crash_is_told_of_with_its_last_words_and_the_next_run_works(worker):
    with pytest.raises(WorkerDied, match="crashed") as told:
        worker.run(Task("crash"), ct())
    text = "\n".join(told.value.log_lines)
    assert "about to crash" in text
    assert "worker_cases.py" in text
    assert told.value.details.endswith(text)
    assert worker.run(Task("steps", {"count": 1}), ct()) == {"steps": 1}


@pytest.mark.parametrize(
    ("task", "sentence", "cause"),
    [
        ("fail", "The GPU failed; restart", "RuntimeError: CUDA error"),
        ("leave", "SystemExit: 7", "SystemExit: 7"),
        ("unsendable", "a function cannot be written", "TypeError"),
    ],
)
def test_failure_is_explained_and_the_next_run_is_in_a_fresh_process(worker, task, sentence, cause):
    before = worker.run(Task("describe"), ct())["pid"]
    with pytest.raises(WorkerFailed, match=sentence) as told:
        worker.run(Task(task), ct())
    assert cause in told.value.details
    assert cause in "".join(traceback.format_exception(told.value))
    assert explain(told.value) == str(told.value)
    assert worker.run(Task("describe"), ct())["pid"] != before


def test_idle_process_ends_and_the_next_run_works():
    with Worker.start(tasks=CASES, idle_s=0.1) as worker:
        wait_until(lambda: not worker.alive)
        assert worker.run(Task("steps", {"count": 1}), ct()) == {"steps": 1}


def test_process_ends_when_idle_though_a_run_was_cancelled_before_its_volume_was_copied():
    with Worker.start(tasks=CASES, idle_s=0.5) as worker:
        array = np.zeros((400, 512, 512), np.int16)
        job = worker.submit(Task("describe"), Volume(array, Grid(array.shape, np.eye(4)), modality="CT"))
        job.poll()
        assert not job.started
        job.cancel()
        wait_until(lambda: not worker.alive)


def test_process_ends_when_idle_though_it_could_not_be_given_its_volume():
    if not shared_memory.FOLDER.is_dir():
        pytest.skip("the system does not limit shared memory")
    shape = (10_000, 100_000, 100_000)
    with Worker.start(tasks=CASES, idle_s=0.5) as worker:
        with pytest.raises(InputError, match="MB of shared memory"):
            worker.submit(Task("echo"), Volume(np.broadcast_to(np.int16(0), shape), Grid(shape, np.eye(4))))
        wait_until(lambda: not worker.alive)


def test_result_larger_than_the_shared_memory_is_told_and_the_process_still_ends_when_idle():
    if not shared_memory.FOLDER.is_dir():
        pytest.skip("the system does not limit shared memory")
    with Worker.start(tasks=CASES, idle_s=0.5) as worker:
        with pytest.raises(InputError, match="MB of shared memory"):
            worker.run(Task("vast"), ct())
        wait_until(lambda: not worker.alive)


def test_run_that_is_sent_as_the_process_ends_is_sent_again(monkeypatch):
    with Worker.start(tasks=CASES, idle_s=0.1) as worker:
        process = psutil.Process(worker.pid)
        wait_until(lambda: is_gone(process))
        with monkeypatch.context() as blind:
            blind.setattr(Child, "messages", lambda _self, _patience: [])
            job = worker.submit(Task("describe"), ct())
        assert job.result(LONG_S)["pid"] != process.pid


def test_closing_ends_the_process_and_the_run():
    worker = Worker.start(tasks=CASES)
    process = psutil.Process(worker.pid)
    job = worker.submit(Task("steps", {"count": 100_000, "each_s": 0.01}), ct())
    wait_until(lambda: job.poll() or job.fraction > 0)
    worker.close()
    with pytest.raises(Cancelled):
        job.result(LONG_S)
    assert is_gone(process)


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_forgotten_worker_ends_its_process():
    worker = Worker.start(tasks=CASES)
    process = psutil.Process(worker.pid)
    del worker
    gc.collect()
    wait_until(lambda: is_gone(process))


PARENTS = {
    # Until the run is in progress.
    "in a run": """
        job = worker.submit(Task("deaf", {"begun": sys.argv[1]}), volume)
        while not Path(sys.argv[1]).exists():
            job.poll()
    """,
    # Until the result is in shared memory, and nobody takes it.
    "after a run": """
        worker.submit(Task("echo"), volume)
        while worker._copy():
            pass
        while not any(message["type"] == "done" for message in worker._child.messages(0.1)):
            pass
    """,
}


@pytest.mark.parametrize("dies", PARENTS)
def test_death_of_the_parent_ends_the_process(dies, tmp_path):
    script = """
        import sys, time
        from pathlib import Path
        import numpy as np
        from SegmentationAILib.engine.task import Task
        from SegmentationAILib.engine.worker.client import Worker
        from SegmentationAILib.volume import Grid, Volume
        worker = Worker.start(tasks=["worker_cases"])
        volume = Volume(np.zeros((4, 4, 4), np.int16), Grid((4, 4, 4), np.eye(4)))
    """
    script = textwrap.dedent(script) + textwrap.dedent(PARENTS[dies])
    script += f"print(worker.pid, flush=True)\ntime.sleep({LONG_S})\n"
    command = [sys.executable, "-c", script, str(tmp_path / "begun")]
    with subprocess.Popen(command, env=launching.environment(CASES), stdout=subprocess.PIPE) as parent:
        process = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    wait_until(lambda: is_gone(process))


def test_worker_of_another_version_is_refused(monkeypatch):
    with Worker.start(tasks=CASES) as worker:
        job = worker.submit(Task("echo"), ct())
        monkeypatch.setattr(protocol, "PROTOCOL", protocol.PROTOCOL + 1)
        with pytest.raises(ProtocolMismatch, match="another version of ThoraxAI"):
            job.result(LONG_S)


@pytest.mark.parametrize("first", [{"type": "hello", "protocol": 0}, {"type": "run", "job": 1}])
def test_worker_refuses_a_parent_of_another_version(first):
    done = subprocess.run(
        launching.command(sys.executable, CASES, LONG_S),
        env=launching.environment(CASES),
        input=json.dumps(first).encode() + b"\n",
        capture_output=True,
        check=False,
    )
    hello, refused = map(json.loads, done.stdout.splitlines())
    assert hello["protocol"] == refused["protocol"] == protocol.PROTOCOL
    assert refused["type"] == "refused"
    assert done.returncode != 0


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for PythonSlicer is a shell script")
class TestPythonSlicer:
    """Slicer's Python is a launcher that runs another program and waits for it."""

    @pytest.fixture
    def slicer_home(self, tmp_path) -> Path:
        launcher = tmp_path / "Slicer" / "bin" / "PythonSlicer"
        launcher.parent.mkdir(parents=True)
        launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
        launcher.chmod(0o755)
        return launcher.parents[1]

    def test_worker_behind_a_launcher_works_and_is_killed_with_it(self, slicer_home, tmp_path):
        with Worker.start(tasks=CASES, python=launching.find_python(slicer_home)) as worker:
            process = psutil.Process(worker.run(Task("describe"), ct())["pid"])
            assert process.pid != worker.pid
            job = begin_deaf(worker, tmp_path)
            job.cancel()
            with pytest.raises(Cancelled):
                job.result(LONG_S)
            assert worker.run(Task("steps", {"count": 1}), ct()) == {"steps": 1}
            wait_until(lambda: is_gone(process))

    def test_missing_python_is_told_of(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(InputError, match="Slicer's Python is not where it should be"):
            launching.find_python(tmp_path)

    def test_plain_python_runs_its_own(self):
        assert launching.find_python() == sys.executable
