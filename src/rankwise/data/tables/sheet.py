"""The cells of a CSV or TSV file as they are written, so that what is not filled goes back letter for letter."""

from __future__ import annotations

import codecs
import gzip
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

BOM = "\ufeff"
UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
DELIMITERS = (",", "\t", ";", "|")
# So many characters and lines are looked at to find the delimiter.
SNIFFED, SNIFFED_LINES = 100_000, 20
NUMBER = re.compile(r"([+-]?[\d.,]+([eE][+-]?\d+)?)?")


@dataclass(frozen=True, eq=False)
class Sheet:
    """The cells of a text file, quotes included, and everything that stood between them.

    raw: one list of cells a line. start: what stood before the first line (byte order mark, blank lines). ends:
    what stood after each line (its line ending, blank lines). lines: the number of each line in the file, from 1.
    encoding: how the file is written, and its byte order mark is part of `start`.
    """

    raw: list[list[str]]
    start: str
    ends: list[str]
    lines: list[int]
    delimiter: str
    encoding: str = "utf-8"

    @cached_property
    def texts(self) -> list[list[str]]:
        """The cells' texts, without quotes."""
        return [[unquoted(cell) for cell in line] for line in self.raw]

    @property
    def ending(self) -> str:
        """The line ending of the first line that has one."""
        return next((match[0] for end in self.ends if (match := re.match(r"\r\n|\n|\r", end))), "\n")

    def text(
        self,
        changes: Mapping[tuple[int, int], str],
        more: Sequence[Sequence[str]] = (),
        delimiter: str | None = None,
    ) -> str:
        """The file with new texts in the cells (line, place) of `changes`, and further lines at its end."""
        delimiter = delimiter or self.delimiter
        lines = self.raw if delimiter == self.delimiter else [[quoted(x, delimiter) for x in y] for y in self.texts]
        lines = [*lines]
        for (i, j), new in changes.items():
            if lines[i] is self.raw[i]:
                lines[i] = [*lines[i]]
            lines[i][j] = new
        parts = [self.start]
        for line, end in zip(lines, self.ends, strict=True):
            parts += [delimiter.join(line), end]
        if more and self.ends and not self.ends[-1]:
            parts.append(self.ending)
        for line in more:
            parts += [delimiter.join(quoted(cell, delimiter) for cell in line), self.ending]
        return "".join(parts)


def quoted(text: str, delimiter: str) -> str:
    """A cell's text as it is written: in quotes where it must be."""
    if any(sign in text for sign in (delimiter, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text


def unquoted(cell: str) -> str:
    """The text of a cell as it is written."""
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def unpack(data: bytes, name: str) -> bytes:
    """The contents of a gzip file; raises a ValueError if it is none."""
    try:
        return gzip.decompress(data)
    except Exception as error:  # gzip and zlib raise kinds of their own on broken bytes
        raise ValueError(f"{name} is not a readable gzip file: {error}") from error


def read_sheet(data: bytes, name: str, delimiter: str | None = None) -> Sheet:
    """The cells of a text file; without a delimiter, the one that fits is found.

    Blank lines are no lines, except between the lines of a single column, where they are empty cells.

    Raises:
        ValueError: on bytes that are neither UTF-8 nor UTF-16 with its mark, a quote that is never closed, text after
            a closed quote, lines of unequal length (the line is named each time), or an empty file.
    """
    encoding = next((code for mark, code in UTF16.items() if data.startswith(mark)), "utf-8")
    text = _decode(data, name, encoding)
    start = re.match(rf"{BOM}?(?: *(?:\r\n|\n|\r))*", text)
    begin = start.end() if start else 0
    delimiter = delimiter or _sniff(text[begin : begin + SNIFFED], len(text) - begin > SNIFFED)
    raw, ends, places = _split(text, begin, delimiter, name)
    breaks = [match.end() for match in re.finditer(r"\r\n|\n|\r", text)]
    numbers = [bisect_right(breaks, place) + 1 for place in places]
    if not any(len(line) > 1 or line[0].strip(" ") for line in raw):
        raise ValueError(f"{name} is empty")
    sheet = _without_blank_lines(Sheet(raw, text[:begin], ends, numbers, delimiter, encoding))
    width = len(sheet.raw[0])
    for line, number in zip(sheet.raw, sheet.lines, strict=True):
        if len(line) != width:
            cells = "1 cell" if len(line) == 1 else f"{len(line)} cells"
            raise ValueError(f"{name}: line {number} has {cells}, the lines before have {width}")
    return sheet


def _split(text: str, at: int, delimiter: str, name: str) -> tuple[list[list[str]], list[str], list[int]]:
    """Lines of cells as written, what stands after each line, and where each line begins."""
    sign = re.escape(delimiter)
    cell = re.compile(rf'("[^"]*(?:""[^"]*)*"(?=[{sign}\r\n]|\Z)|(?!")[^{sign}\r\n]*)({sign}|\r\n|\n|\r|\Z)')
    raw, ends, places = [], [], []
    line: list[str] = []
    begun = at
    while at < len(text) or line:
        match = cell.match(text, at)
        if match is None:
            number = len(re.findall(r"\r\n|\n|\r", text[:at])) + 1
            closed = re.compile(r'"[^"]*(?:""[^"]*)*"').match(text, at)
            fault = "there is text after a closing quote" if closed else "a quote is opened and never closed"
            raise ValueError(f"{name}: line {number}: {fault}")
        line.append(match[1])
        at = match.end()
        if match[2] != delimiter:
            raw.append(line)
            ends.append(match[2])
            places.append(begun)
            line, begun = [], at
    return raw, ends, places


def _without_blank_lines(sheet: Sheet) -> Sheet:
    """The sheet with blank lines made part of the ending before them."""
    blank = [len(line) == 1 and not line[0].strip(" ") for line in sheet.raw]
    if all(len(line) == 1 for line in sheet.raw):
        last = max((i for i, empty in enumerate(blank) if not empty), default=-1)
        blank = [i > last for i in range(len(blank))]
    keep = [i for i, empty in enumerate(blank) if not empty]
    ends = [
        sheet.ends[i] + "".join(sheet.raw[k][0] + sheet.ends[k] for k in range(i + 1, after))
        for i, after in zip(keep, [*keep[1:], len(blank)], strict=True)
    ]
    return replace(sheet, raw=[sheet.raw[i] for i in keep], ends=ends, lines=[sheet.lines[i] for i in keep])


def _decode(data: bytes, name: str, encoding: str) -> str:
    if encoding == "utf-8" and (code := _unmarked_utf16(data)):
        raise ValueError(
            f"{name} seems to be {code} text without its mark: save it as UTF-8, or iconv -f {code} -t UTF-8"
        )
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count("\n".encode(encoding)) + 1
        if encoding != "utf-8":
            raise ValueError(f"{name}: line {line} is not UTF-16 text, as its first bytes announce") from error
        raise ValueError(f"{name}: line {line} is not UTF-8 text{_remedy(data)}") from error


def _unmarked_utf16(data: bytes) -> str | None:
    """Which UTF-16 bytes seem to be of which more than half of the even or the odd ones are null."""
    start = data[:SNIFFED]
    halves = (("UTF-16LE", start[1::2]), ("UTF-16BE", start[::2]))
    return next((code for code, half in halves if 2 * half.count(0) > len(half)), None)


def _remedy(data: bytes) -> str:
    """What bytes that are not UTF-8 may be, and what to do about it; the ending of a sentence."""
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return ": save it as UTF-8"
    return "; it may be Windows-1252 (Latin-1): save it as UTF-8, or iconv -f WINDOWS-1252 -t UTF-8"


def _sniff(text: str, cut: bool) -> str:
    """The delimiter that cuts the first lines into the most parts: equal in number, mostly numbers or empty.

    Counting numbers tells "1,5;2,5;3,5", with commas for decimal signs, from "a;b,1,2".
    """
    outside = re.sub(r'"[^"]*(?:""[^"]*)*"', "", text)
    lines = [line for line in re.split(r"\r\n|\n|\r", outside) if line.strip(" ")]
    lines = (lines[:-1] if cut and len(lines) > 1 else lines)[:SNIFFED_LINES]
    found: dict[str, tuple[bool, float, int]] = {}
    for delimiter in DELIMITERS:
        counts = [line.count(delimiter) + 1 for line in lines]
        typical = max(set(counts), key=counts.count) if counts else 1
        if typical > 1:
            cells = [cell.strip() for line in lines for cell in line.split(delimiter)]
            share = sum(NUMBER.fullmatch(cell) is not None for cell in cells) / len(cells)
            found[delimiter] = (len(set(counts)) == 1, share, typical)
    return max(found, key=lambda sign: found[sign]) if found else ","
