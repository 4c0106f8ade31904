"""Studies beyond one process: batches over the workers of Dask, on this machine or behind any scheduler."""

from __future__ import annotations

import logging
import queue
import secrets
import signal
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rankwise.studies.plan import Batch
from rankwise.studies.records import Row, failure
from rankwise.studies.running import Engine, Finished, reason
from rankwise.studies.trust import refuse_untrusted, token
from rankwise.studies.worker import Refused, Sender

# Batches sent at once for each thread of the workers, and the fewest: a scheduler that starts workers as they are
# needed must see that they are.
AHEAD, FEWEST = 2, 8
# A batch that ends so many workers is no longer handed out.
DEATHS = 3
# Seconds: between looks at interruptions, between counts of threads, to reach a scheduler, to fetch rows.
POLL, RECOUNT, REACH, FETCH = 0.2, 5.0, 15.0, 60.0
# What a worker is to do, in words, since Dask opens what it hands on before it is run: a name from rankwise would end
# without a sound a worker that lacks it, and the scheduler would need it too.
WORK = "__import__('rankwise.studies.worker', fromlist=['work']).work(payload, signature)"
LOGGERS = ("distributed", "tornado", "asyncio", "bokeh")
INSTALL = "workers need Dask: pip install 'rankwise[cluster]'"

Check = Callable[[], None]


def local(workers: int) -> Engine:
    """An engine of so many processes on this machine, which live as long as the run and are reached from it alone.

    Raises:
        ValueError: if there is to be no worker, or the token is too short.
        ImportError: if Dask is not installed.
    """
    if workers < 1:
        raise ValueError(f"--workers must be at least 1, not {workers}")
    _dask()
    token()

    def engine(waiting: Sequence[Batch], folder: Path, check: Check, scratch: Path | None = None) -> Finished:
        many = min(workers, len(waiting))
        if many:
            with _quietly(_settings(many)), _local_client(many) as client:
                yield from _Spread(client, _sender(folder, scratch=scratch), check).run(waiting)

    return engine


def remote(
    address: str,
    *,
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
    any_version: bool = False,
) -> Engine:
    """An engine of the workers behind a scheduler that runs already, at tcp://host:port or tls://host:port.

    ca, cert, key: files of the authority's certificate, the client's certificate and its key; Dask's own
    configuration where not given. any_version: let workers with another rankwise take part.

    Raises:
        ValueError: if the address is on a network and not encrypted, or there is no token.
        ImportError: if Dask is not installed.
    """
    dask = _dask()
    asked = {"ca": ca, "cert": cert, "key": key}
    names = {"ca": "ca-file", "cert": "client.cert", "key": "client.key"}
    kept = {name: dask.config.get(f"distributed.comm.tls.{names[name]}", None) for name in names}
    refuse_untrusted(address, asked, kept)

    def engine(waiting: Sequence[Batch], folder: Path, check: Check, scratch: Path | None = None) -> Finished:
        del scratch  # other machines may have another folder of that name, or none
        if waiting:
            with _quietly({}), _remote_client(address, {k: asked[k] or kept[k] for k in asked}) as client:
                yield from _Spread(client, _sender(folder, any_version=any_version), check).run(waiting)

    return engine


def _sender(folder: Path, *, any_version: bool = False, scratch: Path | None = None) -> Sender:
    from rankwise.compiled import cores

    return Sender(folder, secrets.token_hex(8), cores(), any_version, scratch)


class _Spread:
    """Batches in flight. A batch that ends workers is run again by itself, so that no other is blamed for it."""

    def __init__(self, client: Any, sender: Sender, check: Check) -> None:
        self.client, self.sender, self.check = client, sender, check
        self.ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.flying: dict[str, tuple[Any, Batch, bytes]] = {}
        self.counted, self.threads = 0.0, 0

    def run(self, waiting: Sequence[Batch]) -> Finished:
        """The batches with their rows, as they end."""
        try:
            suspects: list[Batch] = []
            for batch, rows in self._finish(deque(waiting), None):
                if rows is None:
                    suspects.append(batch)
                else:
                    yield batch, rows
            for batch in suspects:
                yield batch, self._alone(batch)
        finally:
            with suppress(Exception):  # a scheduler that is gone has nothing to cancel
                self.client.cancel([future for future, *_ in self.flying.values()])

    def _alone(self, batch: Batch) -> list[Row]:
        """The rows of a batch with nothing beside it; if it ends workers still, those of its members one by one."""
        rows = next(self._finish(deque([batch]), 1))[1]
        if rows is not None:
            return rows
        if len(batch.cases) == 1:
            fault = f"KilledWorker: {DEATHS} workers or more ended while they ran it (memory?)"
            return [failure(case, fault) for case in batch.cases]
        return [row for case in batch.cases for row in self._alone(Batch((case,)))]

    def _finish(self, todo: deque[Batch], most: int | None) -> Iterator[tuple[Batch, list[Row] | None]]:
        """Every batch with its rows as it ends, at most so many in flight; None for one that ended workers."""
        while todo or self.flying:
            while todo and len(self.flying) < (most or self._most()):
                self._send(todo.popleft())
            future = self._next()
            _, batch, payload = self.flying[future.key]
            if (found := self._fetch(future, payload)) is not ...:
                del self.flying[future.key]
                yield batch, found

    def _send(self, batch: Batch) -> None:
        payload, signature = self.sender.pack(batch)
        key = f"rankwise-{batch.name}-{secrets.token_hex(4)}"
        future = self.client.submit(eval, WORK, {"payload": payload, "signature": signature}, key=key, pure=False)
        self.flying[key] = future, batch, payload
        future.add_done_callback(self.ended.put)

    def _next(self) -> Any:
        """The next batch that has ended."""
        while True:
            self.check()
            with suppress(queue.Empty):
                return self.ended.get(timeout=POLL)
            if self.client.status != "running":
                raise self._lost()

    def _fetch(self, future: Any, payload: bytes) -> Any:
        """The rows of a batch that has ended; None if it ended its workers, ... if it is to be waited for again."""
        from distributed import KilledWorker

        try:
            return self.sender.unpack(payload, future.result(timeout=FETCH))
        except KilledWorker:
            return None
        except TimeoutError:  # its worker has died since, and another one runs it again
            future.add_done_callback(self.ended.put)
            return ...
        except (CancelledError, OSError) as error:
            raise self._lost() from error
        except (Refused, ValueError):
            raise
        except Exception as error:
            raise ValueError(f"the workers cannot run batches of this study: {reason(error)}") from error

    def _lost(self) -> OSError:
        return ConnectionError("the scheduler was lost; what was done is on record: run the same again to go on")

    def _most(self) -> int:
        """How many batches may be in flight."""
        if time.monotonic() - self.counted > RECOUNT:
            self.counted, self.threads = time.monotonic(), sum(self.client.nthreads().values())
        return max(AHEAD * self.threads, FEWEST)


def _dask() -> Any:
    """The package `dask`, with `distributed` beside it.

    Raises:
        ImportError: with the command that installs it.
    """
    try:
        import cryptography  # noqa: F401  # of the certificates of a local cluster
        import dask
        import distributed  # noqa: F401
    except ImportError as missing:
        raise ImportError(INSTALL) from missing
    return dask


def _settings(workers: int) -> dict[str, Any]:
    """Dask's settings for a cluster of our own: no web pages, no profiler, processes that use one core each."""
    environment = {
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PJRT_NPROC": "1",
        # On a GPU each takes its part of the memory.
        "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.75 / workers:.4f}",
        "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
    }  # fmt: skip
    return {
        "distributed.nanny.pre-spawn-environ": environment,
        "distributed.scheduler.allowed-failures": DEATHS - 1,
        "distributed.scheduler.worker-ttl": None,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.worker.profile.enabled": False,
        "distributed.admin.system-monitor.gil.enabled": False,
    }


@contextmanager
def _local_client(workers: int) -> Iterator[Any]:
    """A client of a cluster of processes on the loopback, encrypted, for others on this machine reach that too."""
    from distributed import Client, LocalCluster
    from distributed.security import Security

    security = Security.temporary()
    try:
        with _without_interrupts():
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", protocol="tls://",
                memory_limit=0, security=security, silence_logs=logging.CRITICAL,
                # Some free port: two studies at once must not quarrel over Dask's usual one.
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            )  # fmt: skip
    except RuntimeError as error:
        raise OSError(f"{workers} workers cannot be started: {reason(error.__cause__ or error)}") from error
    try:
        client = Client(cluster, security=security, set_as_default=False)
        yield client
        client.close()
        cluster.close()
    except BaseException:
        _end(cluster)
        raise


def _end(cluster: Any) -> None:
    """End the processes of a cluster at once, whatever they are doing, with those that they run limited cases in."""
    import psutil

    for nanny in list(cluster.workers.values()):
        nanny.auto_restart = False
        with suppress(psutil.NoSuchProcess):
            if nanny.pid:
                worker = psutil.Process(nanny.pid)
                worker.suspend()  # so that it starts no other while its own are looked for
                for one in (*worker.children(recursive=True), worker):
                    with suppress(psutil.NoSuchProcess):
                        one.kill()
    cluster.close(timeout=10)


@contextmanager
def _remote_client(address: str, files: Mapping[str, str | None]) -> Iterator[Any]:
    from distributed import Client
    from distributed.security import Security

    tls = {"tls_ca_file": files["ca"], "tls_client_cert": files["cert"], "tls_client_key": files["key"]}
    security = Security(require_encryption=True, **tls) if address.startswith("tls:") else None
    try:
        client = Client(address, timeout=REACH, security=security, set_as_default=False)
    except OSError as error:
        raise ConnectionError(f"the scheduler at {address} cannot be reached: {reason(error)}") from error
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Threads begun here, and processes begun by those, hear no Ctrl-C: the main thread alone deals with it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _quietly(settings: Mapping[str, Any]) -> Generator[None, None, None]:
    """Dask under these settings, its log and its warnings kept from the terminal: what matters becomes an error."""
    import dask.config
    from distributed.versions import VersionMismatchWarning

    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.split(".")[0] in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with dask.config.set(settings), warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
