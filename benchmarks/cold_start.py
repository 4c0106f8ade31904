"""Seconds from a cold shell: the import, and `rankwise complete` on a 200 x 50 table, first and second time."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import rankwise as rw


def seconds(*command: str) -> float:
    """Wall seconds of a command in a process of its own."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def write_table(path: Path) -> None:
    """A 200 x 50 table of rank 3 with noise and a fifth of holes."""
    rng = np.random.default_rng(0)
    table = rw.low_rank((200, 50), 3, key=0).dense() + 0.1 * rng.standard_normal((200, 50))
    lines = [",".join("" if rng.random() < 0.2 else f"{x:.6g}" for x in row) for row in table]
    path.write_text("\n".join([",".join(f"c{j}" for j in range(50)), *lines]) + "\n")


def main() -> None:
    """Print the table of seconds."""
    imports = [seconds("-c", "import rankwise") for _ in range(5)]
    bare = [seconds("-c", "pass") for _ in range(5)]
    print(
        f"import rankwise: {statistics.median(imports):.2f} s, goal 0.3 s "
        f"(python alone {statistics.median(bare):.2f} s)"
    )
    with tempfile.TemporaryDirectory() as folder:
        table, out = Path(folder) / "table.csv", Path(folder) / "out.csv"
        write_table(table)
        command = ("-m", "rankwise", "complete", str(table), "-o", str(out), "--quiet")
        with_page = (*command, "--report", str(Path(folder) / "page.html"))
        print(f"rankwise complete, 200 x 50, first: {seconds(*command):.2f} s, goal 4 s")
        again = statistics.median(seconds(*command) for _ in range(3))
        print(f"rankwise complete, 200 x 50, again: {again:.2f} s, goal 2.5 s")
        print(f"the same with its page:             {seconds(*with_page):.2f} s")


if __name__ == "__main__":
    main()
