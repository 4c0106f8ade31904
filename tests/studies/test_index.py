"""A study's own files in its folder: what is damaged in them is one line, and the command they lead to can be typed."""

import json

import pytest

from rankwise.cli import main
from rankwise.studies import read_study
from rankwise.studies.folder import Folder
from rankwise.studies.index import read_index, write_index
from rankwise.studies.summary import command


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", 1),
        ("folder", None),
        ("file", 3),
        ("study", []),
        ("options", []),
        ("options.file", 1),
        ("options.out", {}),
        ("options.modules", [1]),
        ("options.changes", "seeds=3"),
        ("study.case", 3),
        ("study.grid", {}),
        ("study.figures", [1]),
        ("study.tables", None),
        ("study.claims", {"text": "t"}),
    ],
)
def test_a_damaged_index_is_one_line(make, capsys, path, value):
    place = make(kept=1).path
    found = json.loads((place / "study.json").read_text())
    *parts, key = path.split(".")
    (found[parts[0]] if parts else found)[key] = value
    (place / "study.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match=rf"study\.json is broken at {path}: delete it and run the study again"):
        read_index(place)
    assert main(["report", str(place)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("text", ["[]", '"made"', "{}", '{"name": "made", "study": {}}', "[" * 10**5])
def test_what_is_no_index_at_all_is_one_line(tmp_path, text):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(ValueError, match=r"study\.json is broken: delete it and run the study again"):
        read_index(tmp_path)


def test_what_begins_as_options_do_can_be_typed_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-x.toml").write_text("[case.solver]\nname = 'greedy'\n")
    study = read_study("./-x.toml")
    for out, told in (("-x", []), ("./-y", ["--out", "./-y"])):
        write_index(study, [], tmp_path / out if not told else (tmp_path / out).relative_to(tmp_path))
    assert command(Folder(tmp_path / "-y")) == ["rankwise", "study", "run", "./-x.toml", "--out", "./-y"]
