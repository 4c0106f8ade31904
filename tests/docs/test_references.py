"""The bibliography: what source and pages cite is in it and on the page of references, and nothing else is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEY = re.compile(r"\b[a-z]+(?:19|20)\d\d[a-z0-9]+\b")
BIBLIOGRAPHY = re.findall(r"^@\w+\{([^,]+),", (ROOT / "docs/references.bib").read_text(encoding="utf-8"), re.MULTILINE)
LISTED = re.findall(r'^- <a id="([^"]+)">', (ROOT / "docs/references.md").read_text(encoding="utf-8"), re.MULTILINE)


def cited():
    """Keys, with a file that names each."""
    files = [path for path in (ROOT / "docs").rglob("*.md") if path.name != "references.md"]
    for folder in ("src", "tests", "examples"):
        files += (ROOT / folder).rglob("*.py")
    files += (ROOT / "studies").rglob("*.toml")
    found = {}
    for path in files:
        found.update(dict.fromkeys(KEY.findall(path.read_text(encoding="utf-8")), path.name))
    return found


def test_what_is_cited_is_in_the_bibliography_and_all_of_it_is_cited():
    found = cited()
    assert {key: name for key, name in found.items() if key not in BIBLIOGRAPHY} == {}
    assert set(BIBLIOGRAPHY) - set(found) == set()


def test_the_page_lists_the_bibliography_in_order():
    assert LISTED == sorted(BIBLIOGRAPHY) == BIBLIOGRAPHY


def test_a_key_says_the_year():
    text = (ROOT / "docs/references.bib").read_text(encoding="utf-8")
    for entry in text.split("\n@")[1:]:
        key = entry.partition("{")[2].partition(",")[0]
        assert re.findall(r"year = \{(\d{4})\}", entry) == re.findall(r"(?<=[a-z])(?:19|20)\d\d(?=[a-z])", key)
