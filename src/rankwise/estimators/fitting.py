"""From observations to a fitted model and its error: hold out, choose, estimate, refit on everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from rankwise.estimators import trained
from rankwise.estimators.holdout import Holdout
from rankwise.estimators.scaling import SCALINGS, Scaling
from rankwise.estimators.selection import Candidate, certified, choose, exact_fits, fit
from rankwise.keys import as_generator
from rankwise.lowrank import LowRank
from rankwise.portfolio import Certificate
from rankwise.problems import Completion
from rankwise.problems.bounds import within
from rankwise.results import RESULTS
from rankwise.solution import Solution

METHODS: dict[str, str] = {
    "auto": "greedy, unless held-out error says that means or row and column effects do as well",
    "greedy": "greedy low-rank learning; scaling, ridge and rank chosen by held-out error",
    "deep": "a linear network of depth 3 trained by gradients, stopped by held-out error",
    "ratio": "one matrix trained by Adam with the nuclear/Frobenius ratio penalty, stopped by held-out error",
    "means": "column means",
    "effects": "row and column effects, no low-rank part",
}
# Fewer observations than this leave none to spare for an error estimate.
LEAST_OBSERVED = 10

NO_HOLES = "There are no holes in the numeric columns: nothing to do."
UNKNOWN = "No error estimate, so nothing can be said about low-rank structure."
TOO_FEW = "There are too few held-out cells to tell whether the table has low-rank structure: {}."
EXACT = "All observed cells are fitted exactly, and they hold the fit: the table has low-rank structure."
NO_ERROR = (
    "no error estimate: with cells held out, too few are left for the exact fit, whose only proof is that it fits"
)
MOVED = "{} cells of the fit lay outside the bounds and were moved into them, which no certificate covers"
APART = (
    "the observed cells fall into {} parts that share no row and no column: what is filled in between them is a guess"
)
HANGING = (
    "{} of the filled cells hang on {} of the observed that no others test: an error there would carry over unseen, "
    "and the certificate does not cover them"
)
NOT_TRIED = "No low-rank fit was asked for, so nothing can be said about low-rank structure."
LOW_RANK = "Held-out cells are predicted better than by {}: the table has low-rank structure."
FULL_RANK = "Held-out cells are predicted better than by {}, but by a fit of full rank: no low-rank structure is shown."
UNSURE = (
    "The low-rank fit predicts held-out cells better than {} do, but it may be chance: it was used, and low-rank "
    "structure is not shown."
)
NO_STRUCTURE = (
    "The data shows no low-rank structure: a low-rank fit predicts held-out cells not clearly better than {} do."
)
NOT_IN_TIME = (
    "Whether the table has low-rank structure could not be told in the time given: the low-rank fits that ended in it "
    "predict held-out cells not clearly better than {} do."
)
NOTHING_LEFT = "nothing was left to train on: column means, and row effects if any, explain every cell"
BASELINES = {"means": "column means", "effects": "row and column effects"}


@dataclass(frozen=True, eq=False)
class Fitted:
    """One method fitted to one set of observations: a scaling, and a low-rank part if there is one."""

    scaling: Scaling
    model: Solution | None = None
    result: RESULTS = RESULTS.closed_form

    @property
    def rank(self) -> int:
        """The rank of the low-rank part, 0 if there is none."""
        return self.model.rank if self.model else 0

    def values(self) -> np.ndarray:
        """The completed matrix, in the table's units."""
        return self.scaling.restore(np.asarray(self.model.matrix) if self.model else np.zeros((1, 1)))

    def certificate(self, problem: Completion) -> Certificate | None:
        """Whether the fit is that of the observations of a problem, and these hold it; None without a low-rank part."""
        if self.model is None or not isinstance(self.model.matrix, LowRank) or not self.rank:
            return None
        return certified(self.scaling, problem, self.model.matrix)

    def predict(self, problem: Completion) -> np.ndarray:
        """Predictions at the observed places of a problem, in the table's units."""
        return self.scaling.predict(self.model.matrix if self.model else np.zeros(problem.shape), problem)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a table without empty rows or columns.

    values: the completed matrix. method: what was used in the end. low_rank: whether the low-rank part
    predicts held-out cells better than the baselines do. fitted, holdout: None where there was nothing to fit or
    too little to hold out. members: what was tried, best first. certificate: whether the low-rank
    part, with the means and effects that belong to it, fits all observations exactly and these hold it; None where
    there is no low-rank part of known factors. hanging: which cells are not covered by it, being filled in from
    observed ones that no others test; None if none.
    """

    values: np.ndarray
    method: str
    verdict: str
    result: RESULTS
    fitted: Fitted | None = None
    holdout: Holdout | None = None
    members: tuple[Candidate, ...] = ()
    warnings: tuple[str, ...] = ()
    low_rank: bool = False
    certificate: Certificate | None = None
    hanging: np.ndarray | None = None


@dataclass(frozen=True)
class Task:
    """How a table is to be completed; `step` is told, in a few words, what is going on."""

    method: str
    holdout: float
    key: int
    max_rank: int | None
    denoise: bool
    step: Callable[[str], None]
    bounds: tuple[float, float] = (-math.inf, math.inf)
    budget: float | None = None

    def run(self, values: np.ndarray) -> Outcome:
        """The outcome for an (n, p) array with NaN for holes, every row and column observed somewhere."""
        if not (self.denoise or np.isnan(values).any()):
            return Outcome(values, "none", NO_HOLES, RESULTS.no_holes)
        problem = Completion.from_dense(values)
        try:
            kept, held = self._set_aside(problem)
        except ValueError as error:
            return self._without_estimate(problem, str(error))
        warnings = self._fewer_than_asked(problem, held)
        means, effects = baseline(kept, "means"), baseline(kept, "effects")
        trial, refit, candidates, cut_short = self._fit(kept)
        warnings = (*warnings, *cut_short)
        if self.method == "auto" and not any(one.certified for one in candidates):
            exact = self._exact(problem, candidates)
            if exact is not None:
                return exact
        if self.method in trained.TRAINED and trial.model is None:
            warnings = (*warnings, NOTHING_LEFT)
        predicted, by_means, by_effects = (within(one.predict(held), self.bounds) for one in (trial, means, effects))
        report = Holdout.of(held, predicted, by_means, by_effects, means.scaling)
        method = self._taken(report, trial)
        if method != self.method and method in BASELINES:
            report = report.without_low_rank(method, trial.rank)
            refit = lambda whole: baseline(whole, method)  # noqa: E731
        self.step("refit on all observed cells")
        final = refit(problem)
        if self.max_rank is not None and final.rank == self.max_rank and final.result is RESULTS.holdout_stopped:
            final = replace(final, result=RESULTS.max_rank)  # the bound was the user's
        if cut_short and method in BASELINES:
            final = replace(final, result=RESULTS.budget)
        low_rank, verdict = self._verdict(report, final, bool(cut_short))
        moved, certificate = self._moved(final.values()), final.certificate(problem)
        hanging = hanging_holes(problem, final, certificate)
        warnings = (*warnings, *said(moved, hanging, certificate))
        parts = unconnected(problem) if final.rank else 1
        warnings = (*warnings, APART.format(parts)) if parts > 1 else warnings
        return Outcome(
            within(final.values(), self.bounds), method, verdict, final.result, final, report, candidates, warnings,
            low_rank, None if moved else certificate, None if moved else hanging,
        )  # fmt: skip

    def _exact(self, problem: Completion, tried: tuple[Candidate, ...]) -> Outcome | None:
        """A certified fit of all observations, where what was kept of them was too little for one and was tried."""
        if not any(one.exact_by is not None for one in tried):
            return None
        found = exact_fits(problem, self.key, self.max_rank, self.budget and self.budget / 4, self.step)
        if not found or not found[0].certified:
            return None
        final, certificate = greedy(problem, found[0], self.key), found[0].certificate
        moved = self._moved(final.values())
        hanging = hanging_holes(problem, final, certificate)
        return Outcome(
            within(final.values(), self.bounds), "greedy", EXACT, final.result, final,
            members=(*found, *tried), warnings=(NO_ERROR, *said(moved, hanging, certificate)),
            low_rank=final.rank < min(problem.shape), certificate=None if moved else certificate,
            hanging=None if moved else hanging,
        )  # fmt: skip

    def _taken(self, report: Holdout, trial: Fitted) -> str:
        """The method asked for; for `auto`, greedy or the better of the simple fillings."""
        if self.method != "auto":
            return self.method
        # What is used is the likelier guess; what is claimed (see `_verdict`) must be surer.
        exact = trial.result is RESULTS.explained and report.exact()
        return "greedy" if trial.rank and (exact or report.ahead()) else report.better_baseline()

    def _verdict(self, report: Holdout, final: Fitted, cut: bool = False) -> tuple[bool, str]:
        """Whether the held-out cells show low-rank structure, and the sentence on it; cut: time ended the search."""
        if self.method in BASELINES:
            return False, NOT_TRIED
        if not report.tells():
            return False, TOO_FEW.format(report.problem.size)
        beaten = report.beaten() and final.rank > 0
        low_rank = beaten and final.rank < min(report.problem.shape)
        preferred = self.method == "auto" and final.rank > 0
        none = NOT_IN_TIME if cut else NO_STRUCTURE
        words = LOW_RANK if low_rank else FULL_RANK if beaten else UNSURE if preferred else none
        return low_rank, words.format(BASELINES[report.better_baseline()])

    def _fewer_than_asked(self, problem: Completion, held: Completion) -> tuple[str, ...]:
        """A sentence where fewer cells could be held out than the share asked for."""
        asked = round(self.holdout * problem.size)
        if held.size >= asked:
            return ()
        return (
            f"{held.size} of the {asked} cells asked for could be held out: every row and column keeps at least half "
            "of its observed cells",
        )

    def _moved(self, values: np.ndarray) -> int:
        """How many completed cells lie outside the bounds by more than rounding."""
        slack = 1e-9 * float(np.max(np.abs(values)))
        return int(np.count_nonzero((values < self.bounds[0] - slack) | (values > self.bounds[1] + slack)))

    def _set_aside(self, problem: Completion) -> tuple[Completion, Completion]:
        if self.holdout == 0:
            raise ValueError("no cells were held out")
        if problem.size < LEAST_OBSERVED:
            raise ValueError(f"only {problem.size} cells are observed")
        kept, held = problem.split(self.holdout, as_generator(self.key))
        if self.method not in BASELINES:
            kept.split(self.holdout, as_generator(self.key))  # a further part is set aside for choices
        return kept, held

    def _without_estimate(self, problem: Completion, why: str) -> Outcome:
        if self.method not in ("auto", *BASELINES):
            raise ValueError(f"method {self.method!r} cannot be run, since it chooses by held-out error: {why}")
        method = self.method if self.method in BASELINES else "effects"
        final = baseline(problem, method)
        warnings = [f"no error estimate: {why}"]
        if method != self.method:
            warnings.append("no rank can be chosen; column means and what row effects the data show were used")
        return Outcome(
            within(final.values(), self.bounds), method, UNKNOWN, final.result, final, warnings=tuple(warnings)
        )

    def _fit(
        self, kept: Completion
    ) -> tuple[Fitted, Callable[[Completion], Fitted], tuple[Candidate, ...], tuple[str, ...]]:
        """The method fitted to the kept observations, how to fit it to others alike, what was tried, and a sentence
        where the budget ended the search.
        """
        if self.method in BASELINES:
            return baseline(kept, self.method), lambda whole: baseline(whole, self.method), (), ()
        found, left_out = choose(kept, self.key, self.holdout, self.max_rank, self.step, self.budget)
        candidates, cut_short = tuple(found), ended_by_budget(found, left_out)
        if self.method in ("auto", "greedy"):
            best = candidates[0]
            return greedy(kept, best, self.key), lambda whole: greedy(whole, best, self.key), candidates, cut_short
        scaling = SCALINGS[candidates[0].scaling]
        if not scaling(kept).standardize(kept).values.any():
            # Nothing is left to train on: means and effects explain every cell.
            return baseline(kept, "effects"), lambda whole: baseline(whole, "effects"), candidates, cut_short
        self.step(f"train {self.method}")
        inner = kept.split(self.holdout, as_generator(self.key))[0]  # the scaling sees nothing held out for the choice
        standardized = scaling(inner).standardize(kept)
        steps = trained.best_stop(standardized, self.method, self.key, self.holdout, self._training)

        def train(whole: Completion) -> Fitted:
            made = scaling(whole)
            model = trained.train(made.standardize(whole), self.method, self.key, steps, self._training)
            return Fitted(made, model, chosen_by_holdout(model.result, RESULTS.holdout_step))

        return train(kept), train, candidates, cut_short

    def _training(self, now: int, limit: int) -> None:
        self.step(f"train {self.method}: step {now} of {limit}")


def unconnected(problem: Completion) -> int:
    """Into how many parts without a common row or column the observations fall."""
    seen = scipy.sparse.coo_array((np.ones(problem.size), (problem.rows, problem.cols + problem.shape[0])))
    seen.resize((sum(problem.shape), sum(problem.shape)))
    return int(scipy.sparse.csgraph.connected_components(seen, directed=False)[0])


def hanging_holes(problem: Completion, final: Fitted, certificate: Certificate | None) -> np.ndarray | None:
    """Which holes a certificate does not cover: those that hang on observed cells tested by no others; None if none."""
    found = certificate.hanging if certificate is not None and certificate.holds else None
    if found is None:
        return None
    holes = np.zeros(problem.shape, bool)
    holes[:, final.scaling.kept(problem)] = found
    holes[problem.rows, problem.cols] = False
    return holes if holes.any() else None


def said(moved: int, hanging: np.ndarray | None, certificate: Certificate | None) -> tuple[str, ...]:
    """What to say of cells that no certificate covers."""
    if moved:
        return (MOVED.format(moved),)
    if hanging is None or certificate is None:
        return ()
    return (HANGING.format(np.count_nonzero(hanging), certificate.untested),)


def greedy(problem: Completion, candidate: Candidate, key: int) -> Fitted:
    """A greedy candidate fitted to all observations of a problem."""
    scaling, model = fit(problem, candidate, key)
    return Fitted(scaling, model, chosen_by_holdout(model.result, candidate.stopped))


def ended_by_budget(candidates: Sequence[Candidate], left_out: int) -> tuple[str, ...]:
    """A sentence where the budget ended the search for candidates, uncertified, before it was through."""
    best = candidates[0]
    if best.certified or not (left_out or any(one.cut for one in candidates)):
        return ()
    where, more = (f" at rank {best.path[-1].rank}", "higher rank") if best.cut else ("", "better fit")
    untried = f", with {left_out} {'preparation' if left_out == 1 else 'preparations'} not tried" if left_out else ""
    return (f"the budget ended the search{where}{untried}: more time may find a {more}",)


def baseline(problem: Completion, method: str) -> Fitted:
    """Column means, or row and column effects."""
    return Fitted(SCALINGS["centred" if method == "means" else "effects"](problem))


def chosen_by_holdout(result: RESULTS, chosen: RESULTS) -> RESULTS:
    """The reason for a stop; a limit that held-out error has set is reported as the one in `chosen`."""
    return chosen if result in (RESULTS.max_rank, RESULTS.max_steps) else result
