"""`rankwise theory`: tables, page, pictures, and mistakes in one line."""

import json

import pytest

from rankwise.theory import RESULTS_PROVED, Check, Finding
from rankwise.theory.finding import Curve, Panel

PANEL = Panel("t", "x", "y", (Curve("m", [1, 2], [1, 2]),))


@pytest.fixture
def toys(monkeypatch):
    """A theorem that holds, one that does not, and a conjecture that does not."""
    held, broken = (Check("one", 1.0, 1.0),), (Check("two", 2.0, 1.0),)
    findings = {
        "true": Finding("true", "One is one.", "a2000", held, (PANEL,)),
        "false": Finding("false", "Two is one.", "b2000", broken, (PANEL,)),
        "guess": Finding("guess", "Two may be one.", "c2000", broken, (PANEL,), kind="conjecture"),
    }
    monkeypatch.setattr("rankwise.theory.RESULTS_PROVED", {name: lambda f=f: f for name, f in findings.items()})
    return findings


def test_a_table_and_a_page(shell, toys, tmp_path):
    assert shell("theory", "true") == 0
    assert "one: 1 = 1: holds" in shell.out
    assert shell.out.endswith("page: true.html\n")
    assert "One is one." in (tmp_path / "true.html").read_text()


def test_the_status_tells_a_broken_theorem_from_a_broken_conjecture(shell, toys, tmp_path):
    assert shell("theory", "guess", "true", "--quiet") == 0
    assert shell.out == ""
    assert shell("theory", "--report", "all.html") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.html", "theory.html"]


def test_json_and_pictures(shell, toys, tmp_path):
    (tmp_path / "pictures").mkdir()
    assert shell("theory", "true", "guess", "--json", "--figures", "pictures") == 0
    assert [(one["name"], one["holds"]) for one in json.loads(shell.out)] == [("true", True), ("guess", False)]
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"true.png", "guess.png"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tru"], "unknown theory 'tru'; did you mean 'true'?"),
        (["true", "--report", "no/p.html"], "no/p.html: the folder"),
        (["true", "--report", "."], ". is a folder, not a file"),
        (["true", "--figures", "no"], "--figures takes a folder that exists, not no"),
    ],
)
def test_mistakes_are_told_in_one_line(shell, toys, words, told):
    assert told in shell.refuses("theory", *words)


def test_every_registered_result_has_a_page_with_its_picture():
    from pathlib import Path

    folder = Path(__file__).parents[2] / "docs" / "theory"
    pages = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.md"))
    for name in RESULTS_PROVED:
        assert f"({name}.png)" in pages
        assert (folder / f"{name}.png").is_file()
