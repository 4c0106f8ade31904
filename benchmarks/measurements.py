"""Linear measurements and phase retrieval: success, error and seconds of every solver, and the pictures of the docs.

Run: python benchmarks/measurements.py sensing|rank_one|operators|phase|image|bounds [--figures docs/problems]
The image needs scikit-learn, whose wheel carries the photograph; pictures need Matplotlib.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import rankwise as rw
from rankwise.problems.phase import distance

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def measured(problem, solver, truth, **options):
    """The solution, its relative error and the seconds of the whole call."""
    begun = time.perf_counter()
    solution = rw.solve(problem, solver, **options)
    return solution, float(rw.measures.relative_error(solution.matrix, truth)), time.perf_counter() - begun


def shares(rhos, draw, solvers, **options):
    """Share of ten draws with a relative error below 1e-6, by solver and rho; printed as it goes."""
    curves = {name: [] for name in solvers}
    for rho in rhos:
        for name, solver in solvers.items():
            runs = []
            for key in range(10):
                truth, problem = draw(rho, key)
                runs.append(measured(problem, solver, truth, **options)[1:])
            errors, seconds = np.array(runs).T
            curves[name].append(np.mean(errors < 1e-6))
            print(f"rho {rho:4}  {name:32} {sum(errors < 1e-6):2d}  {np.median(seconds):.2f} s", flush=True)
    return curves


def sensing(folder):
    """Success against rho with Gaussian sensors: 20 x 16 of rank 2, and symmetric 16 x 16, semidefinite of rank 2."""
    general = {"Greedy()": rw.Greedy(), "ScaledGD(rank=2)": rw.ScaledGD(rank=2), "NuclearNorm()": rw.NuclearNorm()}
    symmetric = {
        "Greedy(Symmetric())": rw.Greedy(rw.Symmetric()), "Greedy()": rw.Greedy(),
        "NuclearNorm(semidefinite=True)": rw.NuclearNorm(semidefinite=True), "NuclearNorm()": rw.NuclearNorm(),
    }  # fmt: skip

    def draw(rho, key):
        truth = rw.low_rank((20, 16), 2, key=key)
        return truth, rw.sense(truth, round(rho * 2 * (20 + 16 - 2)), key=100 + key)

    def draw_symmetric(rho, key):
        truth = rw.low_rank((16, 16), 2, key=key, symmetric=True)
        return truth, rw.sense(truth, round(rho * (2 * 16 - 1)), key=100 + key, symmetric=True)

    print("success of 10 (relative error < 1e-6), median seconds")
    rhos = (1.05, 1.25, 1.5, 2.0, 2.5, 3.0)
    curves = shares(rhos, draw, general, max_steps=3000), shares(rhos, draw_symmetric, symmetric, max_steps=3000)
    descent = rw.Optimizer("group_rmsprop", 3e-3)
    for name, solver, (truth, problem) in (
        ("GradientDescent(Deep(3)), general", rw.GradientDescent(rw.Deep(3), descent), draw(4, 0)),
        ("GradientDescent(Symmetric())", rw.GradientDescent(rw.Symmetric(), descent), draw_symmetric(4, 0)),
    ):
        solution, error, seconds = measured(problem.mean(), solver, truth)
        print(f"rho 4.0  {name:34} rank {solution.rank}  error {error:.1e}  {seconds:.2f} s", flush=True)
    if folder:
        figure, axes = panels(2, (4.2, 3.2))
        for one, title, drawn in zip(axes, ("20 x 16, rank 2", "16 x 16, semidefinite, rank 2"), curves, strict=True):
            for (name, curve), colour, marker in zip(drawn.items(), COLOURS, "os^D", strict=False):
                one.plot(rhos, curve, marker=marker, color=colour, label=name)
            one.set(title=title, xlabel="observations / degrees of freedom", ylabel="share recovered")
            one.set_ylim(-0.05, 1.05)
            one.legend(fontsize=8)
        save(figure, folder, "sensing")


def bounds(folder):
    """Ratings that are 1, 3 or 5, 60 x 50 of rank 2, 1,200 seen with noise: hidden entries with and without bounds."""
    rng = np.random.default_rng(0)
    ratings = 3 + np.sign(rng.standard_normal((60, 2))) @ np.sign(rng.standard_normal((2, 50)))
    seen = rw.observe(ratings, 1200, key=1, noise=0.7)
    hidden = np.ones(ratings.shape, bool)
    hidden[seen.rows, seen.cols] = False
    convex = {"delta": 0.7 * np.sqrt(seen.size)}
    found = {}
    for name, solver in (
        ("Greedy", rw.Greedy(noise="estimate")),
        ("NuclearNorm", rw.NuclearNorm(**convex)),
        ("NuclearNorm(bounds)", rw.NuclearNorm(**convex, bounds=(1, 5))),
    ):
        found[name] = np.asarray(rw.solve(seen, solver).matrix)
        if name == "Greedy":
            found["Greedy, clipped"] = rw.within(found[name], (1, 5))
    for name, matrix in found.items():
        values = matrix[hidden]
        error = np.sqrt(np.mean((values - ratings[hidden]) ** 2))
        print(f"{name:22} from {values.min():5.2f} to {values.max():.2f}  hidden rmse {error:.3f}")
    if folder:
        figure, axes = panels(4, (2.6, 2.8))
        for one, (name, matrix) in zip(axes, found.items(), strict=True):
            groups = [matrix[hidden & (ratings == level)] for level in (1, 3, 5)]
            one.violinplot(groups, positions=(1, 3, 5), widths=1.6, showextrema=False)
            one.set(xlabel="truth", xticks=(1, 3, 5), ylim=(-1.2, 7.2))
            one.set_title(name, fontsize=9)
            for level in (1, 5):
                one.axhline(level, color="0.5", linewidth=0.8, linestyle="--")
        axes[0].set_ylabel("filled in")
        save(figure, folder, "bounds")


def rank_one(folder):
    """Success against rho, 40 x 30 of rank 2, 10 draws each; then all solvers once at rho 4."""
    shape, rank = (40, 30), 2
    degrees = rank * (sum(shape) - rank)
    rhos = (1.05, 1.1, 1.2, 1.5, 2.0, 3.0)
    solvers = {"Greedy(), rank unknown": rw.Greedy(), "ScaledGD(rank=2)": rw.ScaledGD(rank=2)}

    def draw(rho, key):
        truth = rw.low_rank(shape, rank, key=key)
        return truth, rw.sense_rank_one(truth, round(rho * degrees), key=100 + key)

    print("success of 10 (relative error < 1e-6), median seconds")
    curves = shares(rhos, draw, solvers, max_steps=3000)
    truth, problem = draw(4, 0)
    descent = rw.GradientDescent(rw.Deep(3), rw.Optimizer("group_rmsprop", 3e-3))
    for name, solver in {**solvers, "GradientDescent(Deep(3))": descent}.items():
        solution, error, seconds = measured(problem.mean(), solver, truth)
        print(f"rho 4.0  {name:24} rank {solution.rank}  error {error:.1e}  {seconds:.2f} s")
    if folder:
        figure, (axes,) = panels(1, (4.2, 3.2))
        for (name, curve), colour, marker in zip(curves.items(), COLOURS, "os", strict=False):
            axes.plot(rhos, curve, marker=marker, color=colour, label=name)
        axes.set(xlabel="observations / degrees of freedom", ylabel="share recovered", ylim=(-0.05, 1.05))
        axes.legend()
        save(figure, folder, "rank_one")


def stripes(shape, rank, key):
    """A low-rank pattern: every factor is constant over bands of three."""
    rng = np.random.default_rng(key)
    left, right = (np.repeat(rng.standard_normal((n // 3 + 1, rank)), 3, axis=0)[:n] for n in shape)
    return rw.LowRank(left, right)


def operators(folder):
    """A woven pattern, 120 x 160 of rank 3, from 15 % of its Hartley coefficients, by fast transforms alone."""
    truth = stripes((120, 160), 3, 0)
    problem = rw.sense_fourier(truth, 2880, key=1)
    filled = problem.adjoint(problem.values)
    print(f"{problem.size} of {120 * 160} coefficients")
    print(f"zeros for the rest   error {rw.measures.relative_error(filled, truth):.1e}")
    matrix = filled
    descent = rw.GradientDescent(rw.Deep(3, rw.Gaussian(1e-2)), rw.Optimizer("adam", 1e-3))
    for name, solver in (
        ("Greedy()", rw.Greedy()),
        ("ScaledGD(rank=3)", rw.ScaledGD(rank=3)),
        ("GradientDescent(Deep(3))", descent),
    ):
        solution, error, seconds = measured(problem.mean(), solver, truth)
        print(f"{name:24} rank {solution.rank}  error {error:.1e}  {seconds:.1f} s", flush=True)
        matrix = solution.matrix if isinstance(solver, rw.Greedy) else matrix
    if folder:
        size = float(np.abs(truth.dense()).max())
        figure, axes = panels(4, (3.0, 2.7))
        shown = (truth, filled, matrix, np.asarray(matrix) - np.asarray(truth))
        titles = ("truth, rank 3", "zeros for hidden coefficients", "recovered by Greedy()", "error")
        for one, image, title in zip(axes, shown, titles, strict=True):
            data = np.asarray(image)
            limit = np.abs(data).max() if title == "error" else size
            drawn = one.imshow(data, cmap="RdBu_r", vmin=-limit, vmax=limit)
            one.set_title(title, fontsize=9)
            one.axis("off")
            if title == "error":
                figure.colorbar(drawn, ax=one, shrink=0.7)
        save(figure, folder, "operators")


def phase(folder):
    """Success against m / n, n = 100, 20 seeds: relative error < 1e-10 up to the global phase."""
    n, keys = 100, range(20)
    ratios = {"complex": (2.5, 2.75, 3, 3.5, 4, 5, 6), "real": (1.5, 1.6, 1.8, 2, 2.5, 3, 4)}
    solvers = {"AmplitudeFlow()": rw.AmplitudeFlow(), "Greedy(Symmetric())": rw.Greedy(rw.Symmetric(), max_rank=1)}
    curves = {}
    for kind, many in ratios.items():
        for name, solver in solvers.items():
            curve = curves[kind, name] = []
            for ratio in many:
                runs = [phase_run(solver, n, round(ratio * n), kind, key) for key in keys]
                errors, seconds = np.array(runs).T
                good = errors < 1e-10
                curve.append(good.mean())
                worst = f"{errors[good].max():.0e}" if good.any() else "-"
                print(
                    f"{kind:8} m/n {ratio:4}  {name:20} {good.sum():2d} of 20  worst error {worst}  "
                    f"median {np.median(seconds):.2f} s  longest {seconds.max():.2f} s", flush=True
                )  # fmt: skip
    if folder:
        figure, axes = panels(2, (4.2, 3.2))
        for one, kind in zip(axes, ratios, strict=True):
            for name, colour, marker in zip(solvers, COLOURS, "os", strict=False):
                one.plot(ratios[kind], curves[kind, name], marker=marker, color=colour, label=name)
            one.set(title=f"{kind} signal, n = {n}", xlabel="m / n", ylabel="share recovered", ylim=(-0.05, 1.05))
            one.legend()
        save(figure, folder, "phase")


def phase_run(solver, n, count, kind, key):
    """(distance up to phase, seconds) of one recovery."""
    rng = np.random.default_rng(key)
    signal = rng.standard_normal(n) + (1j * rng.standard_normal(n) if kind == "complex" else 0)
    problem = rw.diffract(signal, count, key=1000 + key)
    begun = time.perf_counter()
    recovered = problem.signal(rw.solve(problem, solver).matrix)
    return distance(recovered, signal), time.perf_counter() - begun


def image(folder):
    """A photograph (danielbuechele, CC BY 2.0, in scikit-learn's wheel) from coded diffraction patterns."""
    from sklearn.datasets import load_sample_image

    photo = load_sample_image("china.jpg").mean(axis=2)[:400:2, :600:2] / 255
    for kind, truth, masks in (("real", photo, 6), ("complex", photo + 0j, 6), ("complex", photo + 0j, 8)):
        problem = rw.diffract_coded(truth, masks, key=0)
        begun = time.perf_counter()
        solution = rw.solve(problem, rw.AmplitudeFlow())
        seconds = time.perf_counter() - begun
        recovered = problem.signal(solution.matrix)
        print(
            f"{photo.shape[0]} x {photo.shape[1]}, {kind} unknown, {masks} masks: "
            f"error {distance(recovered, truth):.1e}, "
            f"{solution.result.name} after {solution.steps} steps, {seconds:.1f} s", flush=True
        )  # fmt: skip
    overlap = np.vdot(recovered, photo)
    recovered = (recovered * overlap / abs(overlap)).real
    if folder:
        figure, axes = panels(4, (3.2, 2.5))
        pattern = np.log10(np.fft.fftshift(problem.values.reshape(problem.masks.shape)[0]) + 1e-6)
        error = np.abs(recovered - photo)
        for one, data, title in zip(
            axes, (photo, pattern, recovered, error),
            ("photograph", "one of 8 patterns (log)", "recovered", "error"), strict=True,
        ):  # fmt: skip
            drawn = one.imshow(data, cmap="viridis" if title == "error" else "gray")
            one.set_title(title, fontsize=9)
            one.axis("off")
            if title == "error":
                figure.colorbar(drawn, ax=one, shrink=0.7)
        save(figure, folder, "coded_diffraction")


def panels(count, size):
    """A figure with so many panels side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * count, size[1]), layout="constrained")
    return figure, [figure.add_subplot(1, count, k + 1) for k in range(count)]


def save(figure, folder, name):
    path = Path(folder) / f"{name}.png"
    figure.savefig(path, dpi=110)
    print(f"picture: {path}")


PARTS = {
    "sensing": sensing, "rank_one": rank_one, "operators": operators, "phase": phase, "image": image, "bounds": bounds,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--figures", help="the folder to write the picture to")
    given = parser.parse_args()
    PARTS[given.part](given.figures)


if __name__ == "__main__":
    main()
