"""Workers: whatever is killed, the study ends complete and with the bits of an undisturbed run."""

import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import held  # noqa: F401
import psutil
import pytest
from distributed import LocalCluster
from distributed.security import Security

from rankwise.cli import main
from rankwise.studies import build_study, cluster, read_study, run_study, trust
from rankwise.studies.plan import batches
from rankwise.studies.records import CIRCUMSTANCES, Records
from rankwise.studies.tasks import TASKS
from rankwise.studies.worker import own_threads

HERE = Path(__file__).parent
RANKWISE = [sys.executable, "-c", "import sys, held; from rankwise.cli import main; sys.exit(main())"]
# Seconds that a busy machine may take for what a quiet one does at once.
PATIENCE = 200
DESCENT = """
seeds = 4
batch = 2
[case]
max_steps = 400
track = ["singular_values"]
checkpoints = {count = 3}
problem = {count = 300, loss = "mean", truth = {shape = [30, 20], rank = 2}}
[case.solver]
name = "gradient_descent"
factorization = {name = "deep", depth = 2, start = {name = "gaussian", scale = 1e-2}}
[grid.descent]
[grid.greedy.case]
solver = {name = "greedy"}
max_steps = 5
[grid.held.case]
task = "held"
gate = "gate"
"""


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    monkeypatch.setenv("PJRT_NPROC", "1")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.delenv(trust.TOKEN, raising=False)


def held_study(**case):
    return build_study({"seeds": 6, "batch": 2, "case": {"task": "held", **case}}, "held")


def results(folder):
    """All records but for their circumstances."""
    rows = Records(folder / "records").rows()
    return {name: {k: v for k, v in row.items() if k not in CIRCUMSTANCES} for name, row in rows.items()}


@contextmanager
def scheduler(**settings):
    """The address of a scheduler with two workers, all in threads of this process, and the cluster."""
    with LocalCluster(
        processes=False, host="127.0.0.1", silence_logs=60,
        scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        **{"n_workers": 2, "threads_per_worker": 1, "protocol": "tcp://", **settings},
    ) as made:  # fmt: skip
        yield made.scheduler_address, made


@contextmanager
def running(folder, *words):
    """`rankwise study run` as a process of its own session, once its first record is there."""
    command = [*RANKWISE, "study", "run", "study.toml", "--out", "out", "--quiet", *words]
    with subprocess.Popen(command, cwd=folder, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: list((folder / "out" / "records").glob("*.parquet")) or process.poll() is not None)
            assert process.poll() is None, process.stderr.read()
            yield process
        finally:
            process.kill()


def wait_until(done):
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)


def children(process):
    return psutil.Process(process.pid).children(recursive=True)


def workers(process):
    return [one for one in children(process) if "spawn_main" in command(one)]


def command(process):
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # ended since, perhaps not yet waited for
        return ""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_worker_and_a_killed_client_change_no_bit(tmp_path):
    # A gate keeps the study from ending: workers are busy when one is killed, and so is the client later.
    (tmp_path / "study.toml").write_text(DESCENT.replace('"gate"', f'"{tmp_path / "gate"}"'))
    with running(tmp_path, "--workers", "2") as process:
        begun = children(process)
        first, _ = workers(process)
        first.kill()
        wait_until(lambda: len(now := workers(process)) == 2 and first not in now)
        begun += children(process)
        process.kill()
    assert not psutil.wait_procs(begun, timeout=PATIENCE)[1]
    before = results(tmp_path / "out")
    assert 0 < len(before) < 12
    (tmp_path / "gate").touch()
    study = read_study(tmp_path / "study.toml")
    assert run_study(study, tmp_path / "out", engine=cluster.local(1)).done == 12
    assert run_study(study, tmp_path / "undisturbed").done == 12
    after = results(tmp_path / "out")
    assert after == results(tmp_path / "undisturbed")
    assert before.items() <= after.items()
    assert not any(row["result"] == "failed" for row in after.values())


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "send", "limit"), [(signal.SIGINT, os.killpg, "limit = 100"), (signal.SIGTERM, os.kill, "")]
)
def test_an_interrupted_run_leaves_no_process_and_can_go_on(tmp_path, number, send, limit):
    gate = tmp_path / "gate"
    axes = f'[axes.gate]\nkey = "gate"\nvalues = ["/", "{gate}"]\n'
    (tmp_path / "study.toml").write_text(f'batch = 1\n[case]\ntask = "held"\nvalue = 2\n{limit}\n{axes}')
    with running(tmp_path, "--workers", "1") as process:
        if limit:  # the case that waits does so in a process that its worker has started
            wait_until(lambda: any("studies.limited" in command(one) for one in children(process)))
        begun = children(process)
        send(process.pid, number)  # Ctrl-C in a terminal reaches the workers too
        error = process.communicate(timeout=PATIENCE)[1]
    assert (process.returncode, error.count("\n")) == (128 + number, 1), error
    assert not psutil.wait_procs(begun, timeout=PATIENCE)[1]
    gate.touch()
    assert run_study(read_study(tmp_path / "study.toml"), tmp_path / "out").done == 2


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_case_that_ends_its_workers_fails_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "DEATHS", 1)
    # With one worker all batches that wait there are suspected too.
    standing = run_study(held_study(deadly=3), tmp_path, engine=cluster.local(1))
    assert (standing.done, standing.failed) == (6, 1)
    (lost,) = [row for row in results(tmp_path).values() if row["result"] == "failed"]
    assert lost["sentence"].startswith("KilledWorker: 1 worker")
    assert '"value": 3' in lost["settings"]


SAVING = """
import os, signal
from rankwise.studies.tasks import TASKS, Outcome, Task

class Saving(Task):
    keys, resumable = (), True

    def seeded(self, settings, seed):
        return settings

    def check(self, settings, folder):
        pass

    def run(self, many, folder, progress=None, keep=None):
        if not keep.exists():
            keep.parent.mkdir(exist_ok=True)
            keep.write_text("half of it")
            os.kill(os.getpid(), signal.SIGKILL)
        return [Outcome("done", keep.read_text(), 0.0)]

TASKS["saving"] = Saving()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_what_a_killed_worker_has_saved_on_this_machine_is_gone_on_from(tmp_path, monkeypatch):
    (tmp_path / "saving.py").write_text(SAVING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(TASKS, "saving", None)  # is taken out again
    importlib.import_module("saving")
    (batch,) = batches(build_study({"case": {"task": "saving"}}, "saving").cases(), 1)
    with closing(cluster.local(1)([batch], tmp_path, lambda: None, tmp_path / "checkpoints")) as finished:
        ((_, (row,)),) = finished
    assert row["sentence"] == "half of it"


def test_any_scheduler_will_do(tmp_path, monkeypatch):
    monkeypatch.setenv(trust.TOKEN, "a secret of the tests")
    run_study(held_study(), tmp_path / "here")
    with scheduler() as (address, _):
        done = []
        run_study(held_study(), tmp_path / "there", engine=cluster.remote(address), progress=done.append)
        with monkeypatch.context() as patch:
            # Workers are threads here: each has other code than the one that sends.
            patch.setattr("rankwise.studies.worker._code", lambda _: threading.current_thread().name)
            with pytest.raises(ValueError, match="--any-version"):
                run_study(held_study(), tmp_path / "other", engine=cluster.remote(address))
            run_study(held_study(), tmp_path / "other", engine=cluster.remote(address, any_version=True))
    assert done == [0, 2, 2, 2]
    assert results(tmp_path / "there") == results(tmp_path / "here") == results(tmp_path / "other")


def test_a_batch_has_the_threads_of_its_worker():
    with scheduler(n_workers=1, threads_per_worker=3) as (_, made), made.get_client() as client:
        assert client.submit(own_threads).result() == 3


def test_a_scheduler_under_tls_takes_those_with_a_certificate(tmp_path):
    security = Security.temporary()
    files = {}
    for name, text in (
        ("ca", security.tls_ca_file), ("cert", security.tls_client_cert), ("key", security.tls_client_key)
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
        files[name] = str(tmp_path / name)
    with scheduler(security=security, protocol="tls://") as (address, _):
        assert run_study(held_study(), tmp_path / "out", engine=cluster.remote(address, **files)).done == 6


def test_a_scheduler_that_is_lost_or_not_there_is_one_line_and_records_stay(tmp_path, monkeypatch):
    study = build_study(
        {"seeds": 2, "batch": 1, "case": {"task": "held"},
         "axes": {"gate": {"key": "gate", "values": ["/", str(tmp_path / "gate")]}}}, "held",
    )  # fmt: skip
    with scheduler() as (address, made):
        engine = cluster.remote(address)

        def leave(done):
            if done:
                (tmp_path / "gate").touch()  # the threads of these workers cannot be killed
                made.close()

        with pytest.raises(OSError, match="the scheduler was lost; what was done is on record"):
            run_study(study, tmp_path / "out", engine=engine, progress=leave)
    assert 0 < len(results(tmp_path / "out")) < 4
    monkeypatch.setattr(cluster, "REACH", 0.3)
    with pytest.raises(OSError, match=f"the scheduler at {address} cannot be reached"):
        run_study(study, tmp_path / "out", engine=engine)
    assert run_study(study, tmp_path / "out").done == 4


def test_no_more_batches_are_in_flight_than_workers_can_soon_take(tmp_path, monkeypatch):
    most = deque(maxlen=1)
    sent = cluster._Spread._send

    def counted(self, batch):
        sent(self, batch)
        most.append(max(len(self.flying), *most))

    most.append(0)
    monkeypatch.setattr(cluster._Spread, "_send", counted)
    study = build_study({"seeds": 60, "batch": 1, "case": {"task": "held"}}, "held")
    with scheduler() as (address, _):
        assert run_study(study, tmp_path, engine=cluster.remote(address)).done == 60
    assert most.pop() == max(2 * cluster.AHEAD, cluster.FEWEST)


def test_what_is_sent_can_be_opened_where_rankwise_is_missing(tmp_path):
    # A scheduler, and a worker before it says what it lacks.
    sent = []

    def submit(*words, **_):
        sent.append(words)
        return SimpleNamespace(key="key", add_done_callback=lambda _: None)

    spread = cluster._Spread(SimpleNamespace(submit=submit), cluster._sender(tmp_path), lambda: None)
    spread._send(batches(held_study().cases(), 2)[0])
    opened = "import pickle, sys; sys.modules['rankwise'] = None; pickle.load(sys.stdin.buffer)"
    subprocess.run([sys.executable, "-c", opened], input=pickle.dumps(sent), check=True, timeout=60)


def test_workers_need_dask_only_when_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    for make in (lambda: cluster.local(2), lambda: cluster.remote("tcp://127.0.0.1:8786")):
        with pytest.raises(ImportError, match=r"workers need Dask: pip install 'rankwise\[cluster\]'"):
            make()
    loaded = "import rankwise.studies.cluster, rankwise.cli, sys; sys.exit('dask' in sys.modules)"
    subprocess.run([sys.executable, "-c", loaded], check=True, timeout=60)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--workers", "0"], "--workers must be at least 1, not 0"),
        (["--workers", "-1"], "--workers must be at least 1, not -1"),
        (["--workers", "two"], "invalid int value: 'two'"),
        (["--scheduler", "tcp://10.0.0.1:8786"], "tcp://10.0.0.1:8786 is on a network and not encrypted"),
        (["--scheduler", "somewhere"], "--scheduler takes an address like"),
        (["--scheduler", ""], "--scheduler takes an address like"),
        (["--workers", "2", "--scheduler", "tls://a:1"], "not allowed with argument"),
        (["--tls-ca", "ca.pem"], "--tls-ca needs --scheduler"),
        (["--workers", "2", "--any-version"], "--any-version needs --scheduler"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, monkeypatch, capsys, words, fault):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(DESCENT)
    assert main(["study", "run", "study.toml", *words]) == 2
    error = capsys.readouterr().err
    assert fault in error
    assert error.count("\n") == 1
    assert [one.name for one in tmp_path.iterdir()] == ["study.toml"]
