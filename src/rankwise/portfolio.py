"""A portfolio of solvers for an unknown rank: cheap ones first, until one's answer carries a certificate."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from rankwise.identifiability import Identifiability, identifiability
from rankwise.keys import as_generator
from rankwise.loop import solve
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.plain import checked, positive_integer
from rankwise.problems import Completion, Problem, Squared
from rankwise.problems.phase import Intensities
from rankwise.results import RESULTS
from rankwise.solution import Solution
from rankwise.solvers import IRLS, Greedy, LogDet, Solver
from rankwise.solvers.data_term import refuse_contradictions
from rankwise.solvers.noise_level import expected_rmse
from rankwise.spectrum import root_mean_square

# The relative error that the residual of an exact fit may leave, to first order.
FIRM = 1e-3
# How the ridge falls in the patient greedy member, and how many steps its fits may take.
PATIENT_LADDER = (0.6, 0.45, 0.35, 0.25, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03)
GREEDY_STEPS = 60
# Restarts: how many without a budget, and the standard deviation of the logarithms of the random row and column scales.
RESTARTS, SPREAD = 2, 0.2
# The share of the observations set aside where no member is certified, and of the budget kept for comparing by them.
HOLDOUT, COMPARING = 0.1, 1 / 3


@dataclass(frozen=True)
class Certificate:
    """Whether a matrix fits the observations, and how firmly these hold it.

    rank: of the matrix. rmse: the root mean square residual. fits: whether that is no more than rounding, or the noise.
    held: how firmly the observations hold the matrix among those of its rank; None if it does not fit them.
    """

    rank: int
    rmse: float
    fits: bool
    held: Identifiability | None

    @property
    def holds(self) -> bool:
        """Whether the matrix fits, with more observations than parameters and a derivative of full rank."""
        return self.held is not None and self.held.overdetermined and self.held.holds

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.held is None:
            return f"the observations are not explained at rank {self.rank} (root mean square residual {self.rmse:.2g})"
        words = f"rank {self.rank} fits {self.held.observations} observations with {self.held.degrees} parameters"
        if not self.held.overdetermined:
            return f"{words}, enough to fit anything"
        return f"{words}, and the derivative {'has full' if self.held.holds else 'does not have full'} rank"


def certify(problem: Problem, matrix: LowRank, noise: float | None = None) -> Certificate:
    """The certificate of a matrix of known factors: see `recover` for what it says and what it does not.

    noise: the standard deviation of the noise; None: the observations are exact to working precision.
    """
    matrix, rmse = _full_column_rank(matrix), float(root_mean_square(problem.residual(matrix)))
    rank, size = matrix.rank, float(root_mean_square(problem.values))
    exact = fits = rmse <= float(np.finfo(problem.dtype).eps ** 0.65) * size
    if not fits and noise is not None:
        fits = rmse <= expected_rmse(noise, problem.size, degrees_of_freedom(rank, problem.shape))
    held = identifiability(problem, matrix) if fits and math.isfinite(rmse) else None
    # To first order a residual e leaves an error of about e / sqrt(stiffness).
    if exact and held is not None and held.holds and rmse > FIRM * math.sqrt(held.stiffness) * size:
        held = replace(held, stiffness=0.0)
    return Certificate(rank, rmse, bool(fits), held)


@dataclass(frozen=True, eq=False)
class Member:
    """What one member of a portfolio reached.

    name: the method in words. solution: what it returned, in the problem's own units. rank, train_rmse: of its matrix.
    certificate: whether that matrix fits and the observations hold it. certified: whether this makes it an answer.
    holdout_rmse: its error on observations set aside, None where it was not asked for. seconds: what it took in all.
    """

    name: str
    solution: Solution
    train_rmse: float
    certificate: Certificate
    certified: bool
    seconds: float
    holdout_rmse: float | None = None

    @property
    def rank(self) -> int:
        """The rank of its matrix."""
        return self.solution.rank

    @property
    def result(self) -> RESULTS:
        """Why it stopped."""
        return self.solution.result


@dataclass(frozen=True, eq=False)
class Recovery:
    """What `recover` returns: the winner, whether its answer is certified, and what every member reached.

    reason: why the winner won, in one sentence. seconds: wall time of all.
    """

    winner: Member
    members: tuple[Member, ...]
    reason: str
    seconds: float

    @property
    def certified(self) -> bool:
        """Whether the winner's matrix fits, with fewer parameters than observations and a derivative of full rank."""
        return self.winner.certified

    @property
    def solution(self) -> Solution:
        """The winner's solution."""
        return self.winner.solution

    @property
    def matrix(self) -> LowRank:
        """The winner's matrix."""
        return low_rank(self.winner.solution)

    @property
    def rank(self) -> int:
        """The rank of the winner's matrix."""
        return self.winner.rank

    @property
    def result(self) -> RESULTS:
        """Why the winner stopped."""
        return self.winner.result

    @property
    def method(self) -> str:
        """The winner's name."""
        return self.winner.name

    def __repr__(self) -> str:
        word = "certified" if self.certified else "uncertified"
        return f"Recovery(rank {self.rank} by {self.method}, {word}, {len(self.members)} members, {self.seconds:.2f} s)"


def recover(
    problem: Problem,
    *,
    noise: float | Literal["estimate"] | None = None,
    budget: float | None = None,
    max_rank: int | None = None,
    tries: int | None = None,
    compare: bool = True,
    key: Any = 0,
    progress: Callable[[str], None] | None = None,
) -> Recovery:
    """The matrix of least rank behind linear observations, its rank unknown, with a certificate if one can be had.

    Members run one after another until one is certified: `Greedy`; `LogDet`; the same sparing more, and more slowly;
    `Greedy` with a ridge that falls slowly; `IRLS`; then `LogDet` on the completion problem with rows and columns
    rescaled at random, which changes the path but neither the rank nor what is known.
    A matrix of rank r is certified if (1) it fits: a root mean square residual of at most eps^0.65 times that of the
    values, or no more than the noise; (2) there are more observations than r (d1 + d2 - r) parameters; (3) the
    derivative of the measurements on the matrices of rank r has full rank there, so that no other matrix of that rank
    nearby fits. That excludes fits that had to succeed, not every coincidence: another matrix far away may fit as well.
    If none is certified, every member is run again with a tenth of the observations set aside, as is `Greedy` with the
    noise estimated, and the one that predicts these best wins, uncertified.

    noise: the standard deviation of the noise; None: the observations are exact to working precision; "estimate": they
    are not, and the level is not known: then nothing can be certified.
    budget: seconds. No step begins later, but one begun is finished; a third is kept for the comparison by held-out
    error. Restarts go on as long as there is time. None: every member runs, and 2 restarts.

    tries: how many of the members may run; None: all.
    compare: without, no run is repeated on fewer observations where none is certified; the member of least generalized
    cross-validation is returned.

    Raises:
        ValueError: if there are fewer observations than the d1 + d2 - 1 parameters of rank 1, they contradict one
            another (up to 2,000 measurements are compared), the misfit is not squared, the problem is one of phase
            retrieval, or a setting is out of range.
    """
    noise = _check(problem, noise, budget, max_rank, tries)
    begun, say = time.perf_counter(), progress or (lambda words: None)
    deadline = math.inf if budget is None else begun + budget * (1 - COMPARING * compare)
    run = _Runner(problem, noise, deadline)
    attempts, members = [], []
    for attempt in itertools.islice(_line_up(problem, noise, max_rank, key, endless=budget is not None), tries):
        if members and time.perf_counter() >= deadline:
            break
        say(attempt.name)
        member = run.member(attempt)
        attempts.append(attempt)
        members.append(member)
        if member.certified:
            reason = f"{member.name} is certified: {member.certificate.sentence}"
            return Recovery(member, tuple(members), reason, time.perf_counter() - begun)
    reason = "uncertified: the members were compared by generalized cross-validation"
    if noise == "estimate":
        reason = "uncertified: the noise itself was estimated"
    elif compare:
        run = _Runner(problem, noise, math.inf if budget is None else begun + budget)
        members, reason = run.compare(attempts, members, max_rank, key, say)
    return Recovery(_best(problem, members), tuple(members), reason, time.perf_counter() - begun)


class _Attempt(NamedTuple):
    """A solver, and the scales of rows and columns it is given the problem in."""

    name: str
    solver: Solver
    scales: tuple[np.ndarray, np.ndarray] | None = None


def _line_up(
    problem: Problem, noise: float | Literal["estimate"] | None, max_rank: int | None, key: Any, endless: bool
) -> Iterator[_Attempt]:
    """The members in the order they are tried."""
    if noise == "estimate":
        yield _Attempt("greedy, noise estimated", Greedy(noise="estimate", max_rank=max_rank))
        return
    bounds: dict[str, Any] = {"noise": noise, "max_rank": max_rank}
    yield _Attempt("greedy", Greedy(inner_steps=GREEDY_STEPS, polish=noise is not None, **bounds))
    yield _Attempt("log_det", LogDet(**bounds))
    yield _Attempt("log_det, sparing more", LogDet(spared=3.0, **bounds))
    yield _Attempt("log_det, slower", LogDet(ratio=0.85, **bounds))
    yield _Attempt(
        "greedy, slower",
        Greedy(inner_steps=GREEDY_STEPS, ladder=PATIENT_LADDER, polish=noise is not None, **bounds),
    )
    yield _Attempt("irls", IRLS(**bounds))
    # Rescaled noise would not be of one level.
    if isinstance(problem, Completion) and noise is None:
        rng = as_generator(key)
        for number in itertools.count(1) if endless else range(1, RESTARTS + 1):
            rows, cols = (np.exp(SPREAD * rng.standard_normal(length)) for length in problem.shape)
            yield _Attempt(f"log_det, rescaled at random ({number})", LogDet(**bounds), (rows, cols))


@dataclass(frozen=True, eq=False)
class _Runner:
    """Runs attempts on a problem until a deadline."""

    problem: Problem
    noise: float | Literal["estimate"] | None
    deadline: float

    def member(self, attempt: _Attempt) -> Member:
        """What an attempt reaches, and whether it is certified."""
        begun = time.perf_counter()
        solution = self.solve(self.problem, attempt)
        matrix = low_rank(solution)
        rmse = float(root_mean_square(self.problem.residual(matrix)))
        certificate = certify(self.problem, matrix, self.noise if isinstance(self.noise, float) else None)
        certified = certificate.holds and self.noise != "estimate"
        return Member(attempt.name, solution, rmse, certificate, certified, time.perf_counter() - begun)

    def solve(self, problem: Problem, attempt: _Attempt) -> Solution:
        """The attempt's solution in the problem's own units; steps end at the deadline."""
        scaled = problem if attempt.scales is None else _rescale(problem, attempt.scales)
        solution = solve(scaled, attempt.solver, max_steps=1 if math.isfinite(self.deadline) else None)
        while solution.result is RESULTS.max_steps and time.perf_counter() < self.deadline:
            solution = solve(scaled, attempt.solver, state=solution.state, max_steps=solution.steps + 1)
        if attempt.scales is None:
            return solution
        rows, cols = attempt.scales
        matrix = low_rank(solution)
        back = LowRank(matrix.left / rows[:, None], matrix.right / cols[:, None])
        return replace(solution, matrix=back.astype(problem.dtype))

    def compare(
        self,
        attempts: list[_Attempt],
        members: list[Member],
        max_rank: int | None,
        key: Any,
        say: Callable[[str], None],
    ) -> tuple[list[Member], str]:
        """The members with their held-out errors, and the sentence on the choice among them."""
        if self.noise is None:
            # First: it is the likeliest to predict well where nothing fits, and time may run out.
            estimated = _Attempt("greedy, noise estimated", Greedy(noise="estimate", max_rank=max_rank))
            attempts, members = [estimated, *attempts], [self.member(estimated), *members]
        try:
            kept, held = self.problem.split(HOLDOUT, key)
        except ValueError as error:
            return (
                members,
                f"uncertified, and no held-out error to compare by ({error}): the least residual per parameter",
            )
        compared = []
        for attempt, member in zip(attempts, members, strict=True):
            if compared and time.perf_counter() >= self.deadline:
                compared.append(member)
                continue
            say(f"{attempt.name}, held out")
            begun = time.perf_counter()
            error = float(root_mean_square(held.residual(self.solve(kept, attempt).matrix)))
            seconds = member.seconds + time.perf_counter() - begun
            compared.append(replace(member, holdout_rmse=error if math.isfinite(error) else math.inf, seconds=seconds))
        best = _best(self.problem, compared)
        return compared, f"uncertified: of the members, {best.name} predicts held-out observations best"


def _best(problem: Problem, members: list[Member]) -> Member:
    """The member of least held-out error, or of least generalized cross-validation where none has one.

    Source: Golub, Heath, Wahba 1979 (`golub1979generalized`): |residual| / (1 - parameters / observations).
    """

    def crossed(member: Member) -> float:
        spare = 1 - degrees_of_freedom(member.rank, problem.shape) / problem.distinct()
        return member.train_rmse / spare if spare > 0 and math.isfinite(member.train_rmse) else math.inf

    tested = [(member.holdout_rmse, member) for member in members if member.holdout_rmse is not None]
    return min(tested or [(crossed(one), one) for one in members], key=lambda pair: pair[0])[1]


def low_rank(solution: Solution) -> LowRank:
    """The matrix of a solver that works on factors."""
    if not isinstance(solution.matrix, LowRank):
        raise TypeError("the members of a portfolio return a LowRank")
    return solution.matrix


def _rescale(problem: Problem, scales: tuple[np.ndarray, np.ndarray]) -> Problem:
    """The completion of D1 W D2, whose rank is that of W, for diagonal D1 and D2."""
    if not isinstance(problem, Completion):
        raise TypeError("only a completion can be rescaled by rows and columns")
    rows, cols = scales
    factor = rows[problem.rows] * cols[problem.cols]
    return problem.replace(values=(problem.values * factor).astype(problem.dtype))


def _full_column_rank(matrix: LowRank) -> LowRank:
    """The same matrix without columns that are zero to rounding."""
    u, s, v = matrix.svd()
    kept = s > s[:1].sum() * np.finfo(float).eps * max(matrix.shape)
    return LowRank(u[:, kept] * s[kept], v[:, kept])


def _check(
    problem: Problem,
    noise: float | Literal["estimate"] | None,
    budget: float | None,
    max_rank: int | None,
    tries: int | None,
) -> float | Literal["estimate"] | None:
    """The noise as a float; raises a ValueError where `recover` promises one."""
    if not isinstance(problem, Problem):
        raise ValueError(f"problem must be a rankwise problem, not {type(problem).__name__}")
    if isinstance(problem, Intensities):
        raise ValueError("a phase retrieval problem is solved by AmplitudeFlow, which needs no rank")
    if not isinstance(problem.misfit, Squared):
        raise ValueError("the portfolio takes least squares only; RobustGreedy takes other losses and outliers")
    if isinstance(noise, str) and noise != "estimate":
        raise ValueError(f"noise must be a number or 'estimate', not {noise!r}")
    if noise is not None and noise != "estimate":
        noise = checked(noise, "noise", above=0)
    if budget is not None:
        checked(budget, "budget", above=0)
    for name, number in (("max_rank", max_rank), ("tries", tries)):
        if number is not None:
            positive_integer(number, name)
    least = degrees_of_freedom(1, problem.shape)
    if problem.distinct() < least:
        d1, d2 = problem.shape
        raise ValueError(
            f"{problem.distinct()} observations cannot determine a {d1} x {d2} matrix: "
            f"even rank 1 has {least} parameters"
        )
    if not isinstance(problem, Completion) and noise is None:
        refuse_contradictions(problem)
    return noise
