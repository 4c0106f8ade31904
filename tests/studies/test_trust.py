"""Addresses, tokens and versions: what is refused before anything is sent or run."""

import json

import pytest

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
        ("code", "00000000", "code .*, not 00000000; its results could differ"),
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
    monkeypatch.setattr(worker, "_code", lambda: "00000000")
    monkeypatch.setattr(worker, "versions", dict)
    work(payload, signature)


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


def test_a_network_needs_encryption_files_and_a_token(tmp_path, monkeypatch):
    file = tmp_path / "ca.pem"
    file.touch()
    given = {"ca": str(file), "cert": str(file), "key": None}
    refused = [
        ("tcp://10.0.0.1:8786", NOTHING, "not encrypted"),
        ("tcp://127.0.0.1:8786", given, "--tls-ca needs an address tls://"),
        ("tls://10.0.0.1:8786", NOTHING, "needs the authority's certificate: --tls-ca FILE"),
        ("tls://10.0.0.1:8786", {**given, "cert": None}, "needs the client's certificate: --tls-cert FILE"),
        ("tls://10.0.0.1:8786", {**given, "key": "none.pem"}, "--tls-key: there is no file none.pem"),
        ("tls://10.0.0.1:8786", given, "put the token that its workers have into RANKWISE_TOKEN"),
    ]
    for address, asked, fault in refused:
        with pytest.raises(ValueError, match=fault):
            trust.refuse_untrusted(address, asked, NOTHING)
    trust.refuse_untrusted("tcp://127.0.0.1:8786", NOTHING, NOTHING)
    monkeypatch.setenv(trust.TOKEN, SECRET)
    trust.refuse_untrusted("tls://10.0.0.1:8786", given, NOTHING)
    trust.refuse_untrusted("tls://10.0.0.1:8786", NOTHING, given)
    monkeypatch.setenv(trust.TOKEN, "short")
    with pytest.raises(ValueError, match="at least 16 characters, not 5"):
        trust.refuse_untrusted("tls://10.0.0.1:8786", given, NOTHING)
