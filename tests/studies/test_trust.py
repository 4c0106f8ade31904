"""Addresses, tokens and versions: what is refused before anything is sent or run."""

import errno
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from distributed.security import Security

from rankwise.studies import build_study, trust, worker
from rankwise.studies.plan import batches
from rankwise.studies.running import run_batch
from rankwise.studies.worker import Refused, Sender, work

NOTHING = {"ca": None, "cert": None, "key": None}
SECRET = "a secret of the tests"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """What a worker sets in its process is taken back."""
    monkeypatch.setenv("PJRT_NPROC", "1")
    monkeypatch.delenv(trust.TOKEN, raising=False)


@pytest.fixture
def batch():
    case = {"max_steps": 3, "problem": {"count": 30, "truth": {"shape": [6, 5], "rank": 1}}}
    case["solver"] = {"name": "greedy"}
    return batches(build_study({"case": case, "seeds": 1}, "one").cases(), 4)[0]


@pytest.fixture
def sender(tmp_path):
    return Sender(tmp_path, "nonce", 2)


def test_a_batch_comes_back_with_the_rows_that_this_process_would_make(batch, sender, tmp_path, monkeypatch):
    monkeypatch.setenv(trust.TOKEN, SECRET)
    payload, signature = sender.pack(batch)
    (row,) = sender.unpack(payload, work(payload, signature))
    (own,) = run_batch(batch, tmp_path)
    assert row.keys() == own.keys()
    assert {name: row[name] for name in row if name != "seconds"} == {n: own[n] for n in own if n != "seconds"}


def test_signatures_depend_on_every_part_and_its_place():
    parts = [(b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"ab", b"c", b""), (b"c", b"ab")]
    made = [trust.sign(b"key", *one) for one in parts] + [trust.sign(b"other", *parts[0])]
    assert len(set(made)) == len(made)
    assert trust.genuine(b"key", made[0], *parts[0])
    assert not trust.genuine(b"key", "", *parts[0])


@pytest.mark.parametrize(
    ("client", "there", "fault"),
    [(SECRET, None, "has no RANKWISE_TOKEN"), (None, SECRET, "signed batches only"), (SECRET, SECRET + "!", "another")],
)
def test_a_worker_refuses_a_batch_without_its_token(batch, sender, monkeypatch, client, there, fault):
    for secret in (client, there):
        monkeypatch.delenv(trust.TOKEN, raising=False)
        if secret:
            monkeypatch.setenv(trust.TOKEN, secret)
        if secret is client:
            sent = sender.pack(batch)
    with pytest.raises(Refused, match=fault):
        work(*sent)


def test_changed_batches_and_rows_of_another_batch_are_refused(batch, sender, tmp_path, monkeypatch):
    monkeypatch.setenv(trust.TOKEN, SECRET)
    payload, signature = sender.pack(batch)
    with pytest.raises(Refused, match="another RANKWISE_TOKEN"):
        work(payload.replace(b"greedy", b"greedX"), signature)
    answer = work(payload, signature)
    with pytest.raises(ValueError, match="no worker with this RANKWISE_TOKEN"):
        sender.unpack(payload, (answer[0] + b"\0", answer[1]))
    other, _ = Sender(tmp_path, "another run", 2).pack(batch)
    with pytest.raises(ValueError, match="no worker with this RANKWISE_TOKEN"):
        sender.unpack(other, answer)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("code", "00000000", r"other code of rankwise \(.*, not 00000000\); its results could differ"),
        ("versions", {"Python": "2.7", "numpy": "1.0"}, "has Python 3.*, not 2.7"),
        ("versions", {"numpy": "1.0"}, "has numpy .*, not 1.0"),
        ("format", 0, "reads other batches"),
    ],
)
def test_a_worker_of_another_version_refuses(batch, sender, key, value, fault):
    sent = json.loads(sender.pack(batch)[0]) | {key: value}
    with pytest.raises(Refused, match=fault):
        work(json.dumps(sent).encode(), "")


def test_any_version_may_be_allowed(batch, tmp_path, monkeypatch):
    payload, signature = Sender(tmp_path, "nonce", 2, any_version=True).pack(batch)
    monkeypatch.setattr(worker, "_code", lambda _: "00000000")
    monkeypatch.setattr(worker, "versions", dict)
    work(payload, signature)


def test_other_code_has_another_hash_wherever_it_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "code", lambda: "rankwise")
    monkeypatch.setitem(sys.modules, "own", type(sys)("own"))
    sys.modules["own"].__file__ = str(tmp_path / "own.py")
    hashes = []
    for text in ("X = 1", "X = 1  # a comment", "X = 2"):
        (tmp_path / "own.py").write_text(text)
        worker._code.cache_clear()
        hashes.append(worker._code("own"))
    monkeypatch.setattr(worker, "code", lambda: "another rankwise")
    worker._code.cache_clear()
    hashes.append(worker._code("own"))
    worker._code.cache_clear()
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


@pytest.mark.parametrize(
    ("module", "fault"), [("nowhere", "cannot import nowhere for the task 'own'"), ("json", "adds no task 'own'")]
)
def test_a_worker_that_cannot_learn_a_task_refuses(batch, sender, module, fault):
    sent = json.loads(sender.pack(batch)[0]) | {"task": "own", "module": module}
    with pytest.raises(Refused, match=fault):
        work(json.dumps(sent).encode(), "")


def test_a_process_runs_one_batch_at_a_time_on_the_senders_cores(batch, sender, monkeypatch):
    monkeypatch.setenv("RANKWISE_CORES", "7")
    running, seen = [], []

    def run_batch(*_, **__):
        running.append(None)
        time.sleep(0.02)
        seen.append((len(running), os.environ["RANKWISE_CORES"]))
        running.pop()
        return []

    monkeypatch.setattr(worker, "run_batch", run_batch)
    threads = [threading.Thread(target=work, args=sender.pack(batch)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(1, "2")] * 4
    assert os.environ["RANKWISE_CORES"] == "7"


def test_a_workers_full_disk_is_no_trouble_of_the_network(batch, sender, tmp_path, monkeypatch):
    def run_batch(*_, scratch):
        raise OSError(errno.ENOSPC, "no space left", str(scratch / "batch.checkpoint"))

    monkeypatch.setattr(worker, "run_batch", run_batch)
    sent = Sender(tmp_path, "nonce", 2, scratch=tmp_path / "scratch").pack(batch)
    with pytest.raises(Refused, match=r"on .*no space left: .*scratch.batch\.checkpoint"):
        work(*sent)


def test_a_file_that_a_worker_lacks_or_has_otherwise_fails_its_case_alone(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,b,c\n1,2,3\n2,4,6\n3,6,\n")
    case = {"max_steps": 3, "problem": {"file": "table.csv"}, "solver": {"name": "greedy"}}
    study = build_study({"case": case, "seeds": 1}, "one", tmp_path)
    batch = batches(study.cases(), 4)[0]
    sender = Sender(tmp_path, "nonce", 2)
    sent = sender.pack(batch)
    assert sender.unpack(sent[0], work(*sent))[0]["result"] != "failed"
    table.write_text("a,b,c\n1,2,3\n2,4,6\n3,6,9\n")
    (row,) = sender.unpack(sent[0], work(*sent))
    assert row["result"] == "failed"
    assert "a file of it is another one on" in row["sentence"]
    table.unlink()
    (row,) = sender.unpack(sent[0], work(*sent))
    assert "FileNotFoundError" in row["sentence"]


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("tcp://127.0.0.1:8786", True), ("tls://[::1]:8786", True), ("tcp://localhost:1", True),
        ("tcp://10.0.0.1:8786", False), ("tls://cluster.example:8786", False), ("tcp://0.0.0.0:8786", False),
    ],
)  # fmt: skip
def test_loopback_addresses_are_known(address, loopback):
    assert trust.is_loopback(address) is loopback


@pytest.mark.parametrize("address", ["", "127.0.0.1:8786", "ucx://a:1", "tcp://host", "tcp://:8786", "tls://h:x"])
def test_no_address_is_refused(address):
    with pytest.raises(ValueError, match="--scheduler takes an address like"):
        trust.is_loopback(address)


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Places of an authority's certificate, of one it has signed, and of that one's key."""
    security = Security.temporary()
    place = tmp_path_factory.mktemp("pem")
    texts = {"ca": security.tls_ca_file, "cert": security.tls_client_cert, "key": security.tls_client_key}
    for name, text in texts.items():
        (place / name).write_text(text)
    return {name: str(place / name) for name in texts}


def test_a_network_needs_encryption_files_and_a_token(pem, monkeypatch):
    refused = [
        ("tcp://10.0.0.1:8786", NOTHING, "not encrypted"),
        ("tcp://127.0.0.1:8786", pem, "--tls-ca needs an address tls://"),
        ("tls://10.0.0.1:8786", NOTHING, "needs the authority's certificate: --tls-ca FILE"),
        ("tls://10.0.0.1:8786", {**pem, "cert": None}, "needs the client's certificate: --tls-cert FILE"),
        ("tls://10.0.0.1:8786", {**pem, "key": "none.pem"}, "--tls-key: there is no file none.pem"),
        ("tls://10.0.0.1:8786", pem, "put the token that its workers have into RANKWISE_TOKEN"),
    ]
    for address, asked, fault in refused:
        with pytest.raises(ValueError, match=fault):
            trust.refuse_untrusted(address, asked, NOTHING)
    trust.refuse_untrusted("tcp://127.0.0.1:8786", NOTHING, NOTHING)
    trust.refuse_untrusted("tls://127.0.0.1:8786", pem, NOTHING)
    monkeypatch.setenv(trust.TOKEN, SECRET)
    trust.refuse_untrusted("tls://10.0.0.1:8786", pem, NOTHING)
    trust.refuse_untrusted("tls://10.0.0.1:8786", NOTHING, pem)
    monkeypatch.setenv(trust.TOKEN, "short")
    with pytest.raises(ValueError, match="at least 16 characters, not 5"):
        trust.refuse_untrusted("tls://10.0.0.1:8786", pem, NOTHING)


def test_files_that_are_no_certificate_or_key_are_named(pem, tmp_path):
    both, locked = tmp_path / "both.pem", tmp_path / "locked.pem"
    texts = {name: Path(file).read_bytes() for name, file in pem.items()}
    both.write_bytes(texts["cert"] + texts["key"])
    own = serialization.load_pem_private_key(texts["key"], None)
    shut = serialization.BestAvailableEncryption(b"word")
    locked.write_bytes(own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, shut))
    trust.refuse_untrusted("tls://127.0.0.1:1", {**pem, "cert": str(both), "key": None}, NOTHING)
    for change, fault in (
        ({"ca": pem["key"]}, "--tls-ca: .* no certificate"), ({"cert": pem["key"]}, "--tls-cert: .* with its key"),
        ({"key": None}, "--tls-cert: .* with its key"), ({"key": str(locked)}, "--tls-cert: .*unlocked"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=fault):
            trust.refuse_untrusted("tls://127.0.0.1:1", pem | change, NOTHING)
