"""Every example of the documentation runs, and prints what the page says it prints."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "```python" in path.read_text(encoding="utf-8"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMISED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in BLOCK.findall(page.read_text(encoding="utf-8")) if name == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run_in_order(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "example"}
    for code in blocks(page, "python"):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)
        promised = PROMISED.findall(code)
        if promised:
            assert printed.getvalue().splitlines() == promised


def test_the_run_described_in_toml_runs(monkeypatch, tmp_path, capsys):
    from rankwise.cli import main

    (code,) = blocks(ROOT / "docs" / "command-line.md", "toml")
    (tmp_path / "run.toml").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["solve", "run.toml"]) == 0
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["matrix.npz", "record.json"]
