"""Every example of the documentation runs, and prints what the page says it prints."""

import io
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from rankwise.cli import main
from rankwise.measures import MEASURES

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "```python" in path.read_text(encoding="utf-8"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMISED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
NUMBER = re.compile(r"\d+\.\d+")


def blocks(name: str, language: str) -> list[str]:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return [code for kind, code in BLOCK.findall(text) if kind == language]


@pytest.fixture(autouse=True)
def _no_measure_stays_registered():
    before = dict(MEASURES)
    yield
    MEASURES.clear()
    MEASURES.update(before)


@pytest.mark.parametrize("page", [path.relative_to(ROOT / "docs").as_posix() for path in PAGES])
def test_the_examples_of_a_page_run_in_order(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "example"}
    for code in blocks(page, "python"):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(code, page, "exec"), names)
        promised = PROMISED.findall(code)
        if promised:
            assert printed.getvalue().splitlines() == promised


def test_the_quick_start_shows_what_the_command_prints(monkeypatch, tmp_path, capsys):
    (shown,) = blocks("quickstart.md", "text")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("out"))
    assert main(["complete", "examples/mauna-loa-co2.csv", "-o", "filled.csv", "--report", "page.html"]) == 0
    printed = capsys.readouterr().out
    assert NUMBER.sub("", printed) == NUMBER.sub("", shown)
    found, promised = ([float(x) for x in NUMBER.findall(text)[:-1]] for text in (printed, shown))
    assert found == pytest.approx(promised, rel=0.01)


def test_the_run_described_in_toml_runs(monkeypatch, tmp_path, capsys):
    (code,) = blocks("command-line.md", "toml")
    (tmp_path / "run.toml").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["solve", "run.toml"]) == 0
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["matrix.npz", "record.json"]
