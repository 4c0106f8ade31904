"""The command as a whole: its parser, `list`, `solve`, and what happens to broken pipes and Ctrl-C."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
import pytest

from rankwise.cli.interrupt import Interrupt, interruptible, leaving
from rankwise.cli.listing import PLACES, registry
from rankwise.data.tables import write_atomically

COMMAND = [sys.executable, "-m", "rankwise"]
SPEC = """
key = 1
max_steps = 20
track = ["effective_rank"]

[problem]
count = 60
truth = { shape = [10, 10], rank = 1 }

[solver]
name = "greedy"
"""


def test_version(shell):
    assert shell("--version") == 0
    assert shell.out == f"rankwise {version('rankwise')}\n"


@pytest.mark.parametrize("words", [["--help"], ["complete", "--help"], ["solve", "-h"], ["list", "-h"]])
def test_help(shell, words):
    assert shell(*words) == 0
    assert shell.out.startswith("usage: rankwise")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "rankwise: a command is needed: complete, solve, theory, study, report or list (see rankwise --help)"),
        (["complet"], "unknown command 'complet'; did you mean 'complete'?"),
        (["frobnicate"], "unknown command 'frobnicate'; known: complete, list, report, solve"),
        (["-x"], "unknown option -x"),
        (["--verson"], "unknown option --verson; did you mean '--version'?"),
        (["list", "solver"], "unknown registry 'solver'; did you mean 'solvers'?"),
        (["list", "nothing"], "unknown registry 'nothing'; known: factorizations, "),
        (["solve"], "arguments are required: SPEC.toml"),
        (["solve", "run.toml", "--quiet", "--json"], "--json: not allowed with argument --quiet"),
        (["theory", "--json", "--quiet"], "--quiet: not allowed with argument --json"),
        (["solve", "no.toml"], "no.toml: No such file or directory"),
        (["solve", "."], "Is a directory"),
    ],
)
def test_mistakes_are_told_in_one_line(shell, words, told):
    assert told in shell.refuses(*words)


def test_list_names_everything_with_a_sentence(shell):
    assert shell("list") == 0
    for title in PLACES:
        assert f"\n{title}\n" in "\n" + shell.out
        for name in registry(title):
            assert any(line.split()[0] == name and len(line.split()) > 1 for line in shell.out.splitlines())
    assert shell("list", "solvers") == 0
    assert shell.out.startswith("solvers\n  gradient_descent ")


LISTS_ONE = """
import sys
from rankwise.cli import main
main(["list", sys.argv[1]])
print(any(name in sys.modules for name in sys.argv[2:]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("optimizers", ["jax", "optax", "scipy", "rankwise.theory"]),
        ("solvers", ["jax", "scipy.optimize", "scipy.linalg", "scipy.sparse"]),
        ("theory", ["jax", "diffrax", "scipy.optimize", "scipy.linalg", "scipy.sparse"]),
    ],
)
def test_listing_a_registry_does_not_load_what_runs_it(name, absent):
    done = subprocess.run([sys.executable, "-c", LISTS_ONE, name, *absent], capture_output=True, text=True)
    assert done.stdout.startswith(f"{name}\n  ")
    assert done.stderr == "False\n"


def test_solve_writes_its_record(shell, tmp_path):
    (tmp_path / "run.toml").write_text(SPEC)
    assert shell("solve", "run.toml") == 0
    assert "record: run" in shell.out
    made = json.loads((tmp_path / "run" / "record.json").read_text())
    assert made["rank"] == 1
    assert made["spec"]["key"] == 1
    assert len(made["history"]["effective_rank"]) == len(made["history"]["train_loss"])
    with np.load(tmp_path / "run" / "matrix.npz") as arrays:
        assert np.linalg.matrix_rank(arrays["left"] @ arrays["right"].T) == 1
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["matrix.npz", "record.json"]
    assert shell("solve", "run.toml", "-o", "again", "--json") == 0
    assert json.loads(shell.out)["history"] == made["history"]
    assert shell("solve", "run.toml", "--quiet") == 0
    assert shell.out == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["bad.toml"], "bad.toml is not a TOML file"),
        (["deep.toml"], "deep.toml is not a TOML file"),
        (["bytes.toml"], "bytes.toml is not a TOML file"),
        (["wrong.toml"], "wrong.toml: solver.ranks is not a key"),
        (["run.toml", "-o", "run.toml"], "run.toml is a file, not a folder"),
        (["run.toml", "-o", "circle"], "circle: symbolic links lead in a circle there"),
        (["run.toml", "-o", "no/folder"], "no/folder: the folder"),
        (["run.toml", "-o", ""], "-o takes the name of a folder"),
        (["noend"], "noend has no ending that the folder's name could leave out: name a folder with -o"),
        (["blind.toml"], "blind.toml: track has 'heldout_loss', which needs problem.holdout above 0"),
        (["wide.toml"], "wide.toml: solver: rank must be at most"),
    ],
)
def test_broken_specs_are_told_in_one_line(shell, tmp_path, words, told):
    (tmp_path / "run.toml").write_text(SPEC)
    (tmp_path / "bad.toml").write_text("[problem\nname =")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000)
    (tmp_path / "bytes.toml").write_bytes(bytes(range(128, 256)))
    (tmp_path / "wrong.toml").write_text(SPEC + "ranks = 3\n")
    (tmp_path / "wide.toml").write_text(SPEC.replace("greedy", "alternating_least_squares") + "rank = 1000\n")
    (tmp_path / "noend").write_text(SPEC)
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "blind.toml").write_text(SPEC.replace("effective_rank", "heldout_loss"))
    assert told in shell.refuses("solve", *words)


# What only a process of its own can show.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("process")
    rng = np.random.default_rng(0)
    full = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 40))
    np.save(folder / "t.npy", np.where(rng.random(full.shape) < 0.3, np.nan, full))
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_standard_output_is_told_in_one_line(folder):
    for words, told in (
        (["list"], "No space left on device"),
        (["complete", "t.npy", "-o", os.devnull, "--method", "means"], "standard output: No space left on device"),
        (["complete", "t.npy", "-o", "-", "--method", "means"], "standard output: No space left on device"),
    ):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([*COMMAND, *words], cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr) == (2, f"rankwise: {told}\n")


def test_labels_that_the_console_lacks_are_printed_as_escapes(folder):
    (folder / "t.csv").write_text("n,a,b\nmiß,,\ny,1,2\nz,3,\n", encoding="utf-8")
    words = [*COMMAND, "complete", "t.csv", "-o", os.devnull]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    (folder / "t.csv").unlink()
    assert (done.returncode, done.stderr) == (0, "")
    assert ": mi\\xdf\n" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="the cache lies elsewhere on Windows")
def test_a_cache_that_cannot_be_written_is_not_used(shell, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", full)
        assert shell("list", "methods") == 0
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    assert shell("list", "methods") == 0
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "cache" / "rankwise")


def test_warnings_of_a_failing_cache_are_not_shown(shell):
    assert shell("list", "methods") == 0
    warnings.warn("Error writing persistent compilation cache entry for 'jit_f': disk full", stacklevel=1)


LIMITED = """
import resource, sys
from rankwise.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit on Windows")
def test_a_limit_on_file_size_leaves_the_older_file(folder):
    (folder / "o.npy").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "complete", "t.npy", "-o", "o.npy", "--method", "means"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "rankwise: o.npy: File too large\n")
    assert (folder / "o.npy").read_text() == "old"
    assert names(folder) == ["o.npy", "t.npy"]


@pytest.fixture
def usual_signals():
    """The handlers a program begins with in a terminal, whatever this one was started under."""
    usual = {getattr(signal, name): signal.SIG_DFL for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)}
    usual[signal.SIGINT] = signal.default_int_handler
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


# Counted from the command's beginning: Python itself may take its time to start.
PRESS = """
import os, signal, sys, threading
from rankwise.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(float(sys.argv.pop(1)), os.kill, (os.getpid(), signal.SIGINT)).start()
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing on Windows")
@pytest.mark.parametrize(("method", "wait"), [("auto", 0.2), ("deep", 1.5)])
def test_ctrl_c_leaves_no_partial_output(folder, method, wait):
    before = names(folder)
    words = ["complete", "t.npy", "-o", "new.npy", "--report", "page.html", "--method", method]
    done = subprocess.run(
        [sys.executable, "-c", PRESS, str(wait), *words], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "rankwise: interrupted; no partial output was left\n"
    assert names(folder) == before


def test_ctrl_c_that_was_swallowed_is_raised_at_the_next_step(usual_signals):
    def _xla_gc_callback():
        signal.raise_signal(signal.SIGINT)

    with interruptible() as interrupt:
        interrupt.check()
        _xla_gc_callback()
        with pytest.raises(KeyboardInterrupt):
            interrupt.check(1, 2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_an_import_waits_for_its_end(usual_signals, tmp_path, monkeypatch):
    (tmp_path / "delicate.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)

    def imports():
        with interruptible():
            importlib.import_module("delicate")
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt) as stop:
        imports()
    assert sys.modules.pop("delicate").whole  # an exception in it would have taken it out again
    assert stop.value.args == (130,)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_that_still_waits_is_raised_at_the_end(usual_signals, monkeypatch):
    monkeypatch.setattr("rankwise.cli.interrupt.AGAIN", 60.0)
    reached = []

    def _xla_gc_callback():
        signal.raise_signal(signal.SIGINT)

    def swallows():
        with interruptible():
            _xla_gc_callback()
            reached.append(True)

    with pytest.raises(KeyboardInterrupt) as stop:
        swallows()
    assert stop.value.args == (130,)
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_signal_may_come_at_any_line_that_handles_the_first(usual_signals, monkeypatch):
    monkeypatch.setattr("rankwise.cli.interrupt.AGAIN", 60.0)
    code = Interrupt.handle.__code__

    def _xla_gc_callback(press):
        usual = sys.gettrace()
        sys.settrace(press)
        signal.raise_signal(signal.SIGINT)
        sys.settrace(usual)

    for line in {line for *_, line in code.co_lines() if line not in (None, code.co_firstlineno)}:
        pressed = []

        def press(frame, event, _, line=line, pressed=pressed):
            if frame.f_code is code and frame.f_lineno == line and not pressed:
                pressed.append(event)
                signal.raise_signal(signal.SIGINT)
            return press

        with interruptible() as interrupt:
            _xla_gc_callback(press)
            with pytest.raises(KeyboardInterrupt):
                interrupt.check()


# The signals of a terminal, and for how many seconds an import may hold them back.
HELD = """
import signal, sys
from rankwise.cli import interrupt, main
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt.LONGEST = float(sys.argv.pop(1))
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing on Windows")
@pytest.mark.parametrize(
    ("longest", "module", "status"),
    [
        (0.2, "os.kill(os.getpid(), signal.SIGINT)\nwhile True: pass", 130),
        (600, "os.kill(os.getpid(), signal.SIGINT)\nos.kill(os.getpid(), signal.SIGTERM)\nwhile True: pass", 143),
    ],
    ids=["one", "two"],
)
def test_a_module_that_hangs_is_given_up_after_a_while_or_at_the_second_signal(folder, longest, module, status):
    (folder / "hangs.py").write_text(f"import os, signal\n{module}\n")
    done = subprocess.run(
        [sys.executable, "-c", HELD, str(longest), "study", "run", "theory", "--dry-run", "--import", "hangs"],
        cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == "rankwise: interrupted while a module was imported\n"


def test_ctrl_c_is_raised_at_once_elsewhere(usual_signals):
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)


class Named:
    """What a class statement tells its name, when Ctrl-C comes."""

    def __set_name__(self, owner, name):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_for_which_another_error_stands_is_ctrl_c(usual_signals, shell, monkeypatch):
    def run(*_):
        with leaving(lambda: "this is left"):
            type("Owner", (), {"name": Named()})

    monkeypatch.setattr(sys.modules["rankwise.cli.main"], "_run", run)
    assert shell("list") == 130
    assert shell.err == "rankwise: interrupted; this is left\n"


def test_another_handler_of_ctrl_c_is_left_alone(monkeypatch):
    heard = []
    old = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        with interruptible() as interrupt:
            signal.raise_signal(signal.SIGINT)
            interrupt.check()
    finally:
        signal.signal(signal.SIGINT, old)
    assert heard == [1]
    assert Interrupt().status is None


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_request_to_end_leaves_no_part_of_a_file(usual_signals, tmp_path, name):
    number = getattr(signal, name)
    before = signal.getsignal(number)

    def writer(file):
        file.write(b"half")
        signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt) as stop, interruptible():
        write_atomically(tmp_path / "t.csv", writer)
    assert stop.value.args == (128 + number,)
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before
