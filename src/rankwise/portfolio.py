"""A portfolio of solvers for an unknown rank: cheap ones first, until one's answer carries a certificate."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from rankwise.factorizations import Symmetric
from rankwise.keys import as_generator
from rankwise.loop import solve
from rankwise.lowrank import LowRank, degrees_of_freedom
from rankwise.plain import checked, positive_integer
from rankwise.problems import Completion, Problem, Squared
from rankwise.problems.phase import Intensities
from rankwise.results import RESULTS
from rankwise.solution import Solution
from rankwise.solvers import IRLS, Greedy, LogDet, Solver
from rankwise.solvers.certificate import Certificate, certify
from rankwise.solvers.data_term import refuse_contradictions
from rankwise.solvers.symmetric_part import folded, mirrored, symmetrized
from rankwise.spectrum import root_mean_square

# How the ridge falls in the patient greedy member, and how many steps its fits may take.
PATIENT_LADDER = (0.6, 0.45, 0.35, 0.25, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03)
GREEDY_STEPS = 60
# Restarts: how many without a budget, and the standard deviation of the logarithms of the random row and column scales.
RESTARTS, SPREAD = 2, 0.2
# The share of the observations set aside where no member is certified, and of the budget kept for comparing by them.
HOLDOUT, COMPARING = 0.1, 1 / 3

Noise = float | Literal["estimate"] | None


@dataclass(frozen=True, eq=False)
class Attempt:
    """A solver, and how it is given the problem.

    mirror: with the mirror image of every entry, since the matrix is symmetric. scales: with rows and columns scaled.
    """

    name: str
    solver: Solver
    mirror: bool = False
    scales: tuple[np.ndarray, np.ndarray] | None = None

    def given(self, problem: Problem) -> Problem:
        """What the solver is given."""
        problem = mirrored(problem) if self.mirror else problem
        if self.scales is None:
            return problem
        if not isinstance(problem, Completion):
            raise TypeError("only a completion can be rescaled by rows and columns")
        # The completion of D1 W D2, whose rank is that of W, for diagonal D1 and D2.
        factor = self.scales[0][problem.rows] * self.scales[1][problem.cols]
        return problem.replace(values=(problem.values * factor).astype(problem.dtype))

    def returned(self, matrix: LowRank) -> LowRank:
        """The solver's matrix as an answer to the problem itself."""
        if self.scales is not None:
            rows, cols = self.scales
            matrix = LowRank(matrix.left / rows[:, None], matrix.right / cols[:, None]).astype(matrix.dtype)
        return symmetrized(matrix) if self.mirror else matrix


@dataclass(frozen=True, eq=False)
class Member:
    """What one member of a portfolio reached.

    solution: what the solver returned, its history and seconds those of the whole run, its matrix an answer to the
    problem itself. Restarts that were not certified keep no state. train_rmse: of that matrix.
    certificate: whether that matrix fits and the observations hold it. certified: whether this makes it an answer.
    seconds: what it took in all. holdout_rmse: its error on observations set aside, None where it was not asked for.
    """

    attempt: Attempt
    solution: Solution
    train_rmse: float
    certificate: Certificate
    certified: bool
    seconds: float
    holdout_rmse: float | None = None

    @property
    def name(self) -> str:
        """The method in words."""
        return self.attempt.name

    @property
    def solver(self) -> Solver:
        """The solver: `solve(member.given(problem), member.solver, state=member.solution.state)` goes on."""
        return self.attempt.solver

    def given(self, problem: Problem) -> Problem:
        """What the solver was given for a problem: the same, or with mirror images, or rescaled."""
        return self.attempt.given(problem)

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
        """Whether the winner's matrix is certified, as far as observations test it: see `certificate`."""
        return self.winner.certified

    @property
    def certificate(self) -> Certificate:
        """The winner's certificate, with how many observations are not tested by the others."""
        return self.winner.certificate

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
    symmetric: bool = False,
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
    values, or no more than noise of the level given hardly ever leaves of a right fit (`expected_rmse`: three standard
    deviations above its mean); (2) there are more observations than r (d1 + d2 - r) parameters; (3) the
    derivative of the measurements on the matrices of rank r has full rank there, so that no other matrix of that rank
    nearby fits; (4) without its last singular value, fitted again if there is noise, it no longer does; (5) noise, if
    there is any, moves it by at most half of its size (`certificate.expected_error`). That excludes fits that had
    to succeed, not every coincidence: another matrix far away may fit as well. It is said of what the observations
    test: those of leverage 1, as all r of a row that holds no more, are fitted whatever they are, and
    `certificate.untested` is their number, `certificate.hanging` the entries that hang on them.
    If none is certified, every member is run again with a tenth of the observations set aside, as is `Greedy` with the
    noise estimated, and the one that predicts these best wins, uncertified.

    noise: the standard deviation of the noise; None: the observations are exact to working precision; "estimate": they
    are not, and the level is not known: then nothing can be certified.
    symmetric: the matrix is known to be symmetric, its eigenvalues of any sign. It is sought as Z Z^T first; the other
    members are given completions with the mirror image of every entry, and their answers are made symmetric.
    Certificates count r d - r (r - 1) / 2 parameters and take the derivative on the symmetric matrices. They ask for
    more: parts of a pattern may be fixed up to reflections, so the stresses of the answer must tell that it is the only
    one (`Identifiability.alone`).
    budget: seconds, a third of them for the comparison by held-out error. The clock is asked between the steps of every
    member, and none begins that would end too late if it took as long as the one before. What has begun ends: a first
    step, one longer than that before it, the certificate after it. On 1000 x 1000 matrices of rank 5 with few entries,
    where the last rank of `Greedy` takes the longest, 4 seconds became up to 6.2 on two cores, 10.2 on busy ones (the
    command is in docs/concepts/recovery.md). Restarts go on until a member is cut short. None: every member runs, and 2
    restarts.
    tries: how many of the members may run; None: all.
    compare: without, no run is repeated on fewer observations where none is certified; the member of least generalized
    cross-validation is returned.

    Raises:
        ValueError: if there are fewer observations than the d1 + d2 - 1 parameters of rank 1 (d if symmetric), they
            contradict one another (as far as `refuse_contradictions` looks; of symmetric entries, all), the misfit is
            not squared, the problem is one of phase retrieval, or a setting is out of range.
    """
    begun, say = time.perf_counter(), progress or (lambda words: None)
    noise = _check(problem, noise, budget, max_rank, tries, symmetric)
    as_generator(key)
    problem = folded(problem, exact=noise is None) if symmetric else problem
    deadline = math.inf if budget is None else begun + budget * (1 - COMPARING * compare)
    members: list[Member] = []
    for attempt in itertools.islice(_line_up(problem, noise, max_rank, symmetric, key, budget is not None), tries):
        # Where one was cut short there is no time left for another.
        if members and (time.perf_counter() >= deadline or members[-1].result is RESULTS.max_steps):
            break
        say(attempt.name)
        member = _run_member(problem, attempt, noise, symmetric, deadline)
        members.append(member)
        if member.certified:
            reason = f"{member.name} is certified: {member.certificate.sentence}"
            return Recovery(member, tuple(members), reason, time.perf_counter() - begun)
        if member.certificate.expected_error == math.inf:
            reason = f"uncertified: {member.certificate.sentence}"
            return Recovery(member, tuple(members), reason, time.perf_counter() - begun)
    reason = "uncertified: the members were compared by generalized cross-validation"
    if noise == "estimate":
        reason = "uncertified: the noise itself was estimated"
    elif compare:
        if noise is None:
            # First: it is the likeliest to predict well where nothing fits, and time may run out.
            # The polish is one long step, which a budget has no room for.
            half = math.inf if budget is None else begun + budget * (1 - COMPARING / 2)
            estimating = _estimating(max_rank, symmetric, polish=budget is None)
            members[:0] = [_run_member(problem, attempt, noise, symmetric, half) for attempt in estimating]
        deadline = math.inf if budget is None else begun + budget
        members, reason = _compare(problem, members, symmetric, deadline, key, say)
    return Recovery(_best(problem, members, symmetric), tuple(members), reason, time.perf_counter() - begun)


def _line_up(
    problem: Problem, noise: Noise, max_rank: int | None, symmetric: bool, key: Any, endless: bool
) -> Iterator[Attempt]:
    """The members in the order they are tried; a symmetric matrix is first sought as Z Z^T."""
    if noise == "estimate":
        yield from _estimating(max_rank, symmetric)
        return
    bounds: dict[str, Any] = {"noise": noise, "max_rank": max_rank}
    growing: dict[str, Any] = {"inner_steps": GREEDY_STEPS, "polish": noise is not None, **bounds}
    if symmetric:
        yield Attempt("greedy, semidefinite", Greedy(Symmetric(), **growing))
    yield Attempt("greedy", Greedy(**growing), symmetric)
    yield Attempt("log_det", LogDet(**bounds), symmetric)
    yield Attempt("log_det, sparing more", LogDet(spared=3.0, **bounds), symmetric)
    yield Attempt("log_det, slower", LogDet(ratio=0.85, **bounds), symmetric)
    yield Attempt("greedy, slower", Greedy(ladder=PATIENT_LADDER, **growing), symmetric)
    yield Attempt("irls", IRLS(**bounds), symmetric)
    # Rescaled noise would not be of one level.
    if isinstance(problem, Completion) and noise is None:
        rng = as_generator(key)
        for number in itertools.count(1) if endless else range(1, RESTARTS + 1):
            rows, cols = (np.exp(SPREAD * rng.standard_normal(length)) for length in problem.shape)
            scales = (rows, rows if symmetric else cols)
            yield Attempt(f"log_det, rescaled at random ({number})", LogDet(**bounds), symmetric, scales)


def _estimating(max_rank: int | None, symmetric: bool, polish: bool = True) -> Iterator[Attempt]:
    """The members for noise of unknown level."""
    solver = Greedy(noise="estimate", max_rank=max_rank, inner_steps=GREEDY_STEPS, polish=polish)
    if symmetric:
        yield Attempt("greedy, semidefinite, noise estimated", solver.replace(factorization=Symmetric()))
    yield Attempt("greedy, noise estimated", solver, symmetric)


def _run_member(problem: Problem, attempt: Attempt, noise: Noise, symmetric: bool, deadline: float) -> Member:
    """What an attempt reaches until a deadline, and whether it is certified."""
    begun = time.perf_counter()
    solution = _answer(problem, attempt, deadline)
    matrix = low_rank(solution)
    rmse = float(root_mean_square(problem.residual(matrix)))
    # Noise of unknown level certifies nothing; without any, a mirror image would have to be alike.
    certificate = certify(problem, matrix, 0.0 if noise == "estimate" else noise, symmetric)
    certified = certificate.holds and noise != "estimate"
    if attempt.scales is not None and not certified:
        solution = replace(solution, state=None)
    return Member(attempt, solution, rmse, certificate, certified, time.perf_counter() - begun)


def _answer(problem: Problem, attempt: Attempt, deadline: float) -> Solution:
    """The solution of an attempt, its matrix an answer to the problem itself."""
    solution = solve_until(attempt.given(problem), attempt.solver, deadline)
    return replace(solution, matrix=attempt.returned(low_rank(solution)))


def solve_until(problem: Problem, solver: Solver, deadline: float, key: Any = 0) -> Solution:
    """As `solve`, but no second step begins that would end after the deadline if it took as long as the one before.

    deadline: on the clock of `time.perf_counter`, or infinity. History and seconds are those of the whole run.
    """
    if math.isinf(deadline):
        return solve(problem, solver, key=key)
    whole = last = solve(problem, solver, key=key, max_steps=1)
    while last.result is RESULTS.max_steps and time.perf_counter() + last.seconds <= deadline:
        last = solve(problem, solver, state=last.state, max_steps=last.steps + 1)
        whole = replace(last, history=whole.history.then(last.history), seconds=whole.seconds + last.seconds)
    return whole


def low_rank(solution: Solution) -> LowRank:
    """The matrix of a solver that works on factors."""
    if not isinstance(solution.matrix, LowRank):
        raise TypeError("the members of a portfolio return a LowRank")
    return solution.matrix


def _compare(
    problem: Problem, members: list[Member], symmetric: bool, deadline: float, key: Any, say: Callable[[str], None]
) -> tuple[list[Member], str]:
    """The members with their held-out errors, and the sentence on the choice among them."""
    try:
        kept, held = problem.split(HOLDOUT, key, symmetric)
    except ValueError as error:
        return members, f"uncertified, and no held-out error to compare by ({error}): the least residual per parameter"
    compared = []
    for member in members:
        if compared and time.perf_counter() >= deadline:
            compared.append(member)
            continue
        say(f"{member.name}, held out")
        begun = time.perf_counter()
        error = float(root_mean_square(held.residual(_answer(kept, member.attempt, deadline).matrix)))
        seconds = member.seconds + time.perf_counter() - begun
        compared.append(replace(member, holdout_rmse=error if math.isfinite(error) else math.inf, seconds=seconds))
    best, nothing = _best(problem, compared, symmetric), float(root_mean_square(held.values))
    reason = f"uncertified: of the members, {best.name} predicts held-out observations best"
    if best.rank and best.holdout_rmse is not None and not best.holdout_rmse < nothing:
        reason += (
            f", but no better than zeros would (root mean square error {best.holdout_rmse:.2g}, of zeros {nothing:.2g})"
        )
    return compared, reason


def _best(problem: Problem, members: list[Member], symmetric: bool) -> Member:
    """The member of least held-out error, or of least generalized cross-validation where none has one.

    Source: Golub, Heath, Wahba 1979 (`golub1979generalized`): |residual| / (1 - parameters / observations).
    """

    def crossed(member: Member) -> float:
        parameters = degrees_of_freedom(member.rank, problem.shape, symmetric)
        spare = 1 - parameters / problem.distinct(symmetric)
        return member.train_rmse / spare if spare > 0 and math.isfinite(member.train_rmse) else math.inf

    tested = [(member.holdout_rmse, member) for member in members if member.holdout_rmse is not None]
    return min(tested or [(crossed(one), one) for one in members], key=lambda pair: pair[0])[1]


def _check(
    problem: Problem, noise: Noise, budget: float | None, max_rank: int | None, tries: int | None, symmetric: bool
) -> Noise:
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
    if symmetric and problem.shape[0] != problem.shape[1]:
        raise ValueError(f"a symmetric matrix must be square, not of shape {tuple(problem.shape)}")
    least, known = degrees_of_freedom(1, problem.shape, symmetric), problem.distinct(symmetric)
    if known < least:
        d1, d2 = problem.shape
        raise ValueError(
            f"{known} observations cannot determine a {d1} x {d2} matrix: even rank 1 has {least} parameters"
        )
    if not isinstance(problem, Completion) and noise is None:
        refuse_contradictions(problem)
    return noise
