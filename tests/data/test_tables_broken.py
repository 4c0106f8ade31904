"""Broken bytes that a reader swallows are refused all the same, by the file's name."""

import pyarrow as pa
import pytest
from pyarrow import feather

from rankwise.data.tables import read_table


@pytest.mark.parametrize("text", ["marker", "palimpsest"])
def test_text_in_a_feather_file_that_is_no_text(tmp_path, text):
    path = tmp_path / "t.feather"
    feather.write_feather(pa.table({"marker": ["palimpsest"], "a": [1.0]}), path, compression="uncompressed")
    path.write_bytes(path.read_bytes().replace(text.encode(), b"\xff" + text[1:].encode()))
    with pytest.raises(ValueError, match=r"^t\.feather is not a readable feather file") as caught:
        read_table(path)
    assert "\n" not in str(caught.value)
