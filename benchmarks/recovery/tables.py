"""From records to shares and medians, and these as Markdown beside the targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.recovery.cases import ORACLE, Case
from benchmarks.recovery.methods import METHODS
from benchmarks.recovery.records import Records, Result
from benchmarks.recovery.suite import Plan
from benchmarks.recovery.trial import INSTANCE

# A relative error from which on an answer is wrong.
WRONG = 1e-3
COLUMNS = 12


@dataclass(frozen=True)
class Line:
    """What one method reached on the seeds of one case that are on record.

    completable: how many of the patterns are finitely completable; recovered, successes among them and in all. A trial
    that failed or met the limit is no success. false: certified and wrong all the same.
    seconds: the median, the limit where that was met; error: the median of |W - W*|_F / |W*|_F, infinite where there
    is none. knowing_columns, from_truth: with noise, the median of the error over that of least squares that knows
    the true column space, or starts at the truth.
    """

    case: Case
    method: str
    trials: int
    completable: int
    successes: int
    recovered: int
    certified: int
    false: int
    exact_rank: int
    failed: int
    seconds: float
    error: float
    knowing_columns: float
    from_truth: float

    @property
    def share(self) -> float:
        """The share that the case's target speaks of."""
        if self.case.target is not None and self.case.target.of_completable:
            return self.recovered / self.completable if self.completable else math.nan
        return self.successes / self.trials

    @property
    def verdict(self) -> str:
        """'reached', or what is missed and by how much."""
        target, missed = self.case.target, []
        if target is None:
            return ""
        if not self.share >= target.success:
            missed.append(f"success {self.share:.2f} < {target.success:g}")
        if not self.seconds <= target.seconds:
            missed.append(f"{self.seconds:.1f} s > {target.seconds:g} s")
        if self.case.noise and not self.knowing_columns <= ORACLE:
            missed.append(f"error {self.knowing_columns:.2f} x oracle > {ORACLE:g}")
        if self.false:
            missed.append(f"{self.false} false certificates")
        return "not reached: " + ", ".join(missed) if missed else "reached"


def succeeds(case: Case, result: Result) -> bool:
    """Whether a trial counts as a success of the case."""
    if result["outcome"] != "done" or result["error"] is None:
        return False
    if case.noise:
        return result["rank"] == case.rank
    return (result["error_sigma"] if case.accuracy < WRONG else result["error"]) < case.accuracy


def falsely_certified(case: Case, result: Result) -> bool:
    """Whether a trial is certified and wrong: in error by 1e-3 or more, or with noise of another rank."""
    if not result.get("certified"):
        return False
    wrong = result["error"] is None or result["error"] >= WRONG
    return result["rank"] != case.rank if case.noise else wrong


def summarize(plan: Plan, records: Records) -> list[Line]:
    """One line per method and case of which at least one trial is on record."""
    lines = []
    for method in plan.methods:
        for case in plan.cases:
            pairs = []
            for seed in plan.seeds_of(method):
                result = records.get(plan.settings(case, seed, method)) if METHODS[method].takes(case) else None
                instance = records.get(plan.settings(case, seed, INSTANCE))
                if result is not None and instance is not None:
                    pairs.append((result, instance))
            if pairs:
                lines.append(_line(plan, case, method, pairs))
    return lines


def _line(plan: Plan, case: Case, method: str, pairs: Sequence[tuple[Result, Result]]) -> Line:
    results = [result for result, _ in pairs]
    good = [succeeds(case, result) for result in results]
    whole = [bool(instance.get("completable")) for _, instance in pairs]
    ratios = {
        name: [_over(result.get("error"), instance.get(name)) for result, instance in pairs]
        for name in ("error_knowing_columns", "error_from_truth")
    }
    return Line(
        case, method, len(pairs), sum(whole), sum(good),
        sum(one and held for one, held in zip(good, whole, strict=True)),
        certified=sum(bool(result.get("certified")) for result in results),
        false=sum(falsely_certified(case, result) for result in results),
        exact_rank=sum(result.get("rank") == case.rank for result in results),
        failed=sum(result["outcome"] != "done" for result in results),
        seconds=median(result.get("seconds") or plan.limit for result in results),
        error=median(math.inf if result.get("error") is None else result["error"] for result in results),
        knowing_columns=median(ratios["error_knowing_columns"]), from_truth=median(ratios["error_from_truth"]),
    )  # fmt: skip


def _over(error: float | None, least: float | None) -> float:
    return error / least if error is not None and least else math.inf


def targets_table(lines: Sequence[Line], method: str) -> str:
    """One method beside the targets."""
    head = "| case | success | completable | of these | certified | false | exact rank | median s | median error |"
    rows = [f"{head} target | verdict | best published |", "|---" * 12 + "|"]
    for line in lines:
        if line.method != method or line.case.target is None:
            continue
        target = line.case.target
        goal = f">= {target.success:g}{' of completable' if target.of_completable else ''}, {target.seconds:g} s"
        numbers = f"{line.successes}/{line.trials} | {line.completable}/{line.trials} | "
        numbers += f"{line.recovered}/{line.completable} | {line.certified} | {line.false} | {line.exact_rank} | "
        numbers += f"{line.seconds:.2f} | {_error(line.error)}"
        rows.append(f"| {_title(line.case)} | {numbers} | {goal} | {line.verdict} | {target.published} |")
    return "\n".join(rows)


def noise_lines(lines: Sequence[Line]) -> str:
    """With noise: the errors as multiples of those of two fits that know what no method can."""
    return "\n".join(
        f"{line.method}, {line.case.name}: median error {line.knowing_columns:.2f} x that of least squares knowing "
        f"the true column space, {line.from_truth:.3f} x that of least squares started at the truth"
        for line in lines
        if line.case.noise and math.isfinite(line.knowing_columns)
    )


def methods_table(lines: Sequence[Line]) -> str:
    """Every method on every case: successes of trials, median seconds; `COLUMNS` cases to a table."""
    methods, cases = dict.fromkeys(line.method for line in lines), list(dict.fromkeys(line.case for line in lines))
    found = {(line.case, line.method): line for line in lines}
    tables = []
    for first in range(0, len(cases), COLUMNS):
        part = cases[first : first + COLUMNS]
        rows = [f"| method | rank | {' | '.join(_title(case) for case in part)} |", "|---" * (len(part) + 2) + "|"]
        for method in methods:
            cells = [_cell(found.get((case, method))) for case in part]
            rank = "given" if METHODS[method].knows_rank else "unknown"
            rows.append(f"| {method} | {rank} | {' | '.join(cells)} |")
        tables.append("\n".join(rows))
    return "\n\n".join(tables)


def beaten(plan: Plan, records: Records) -> str:
    """The instances on which `auto` failed and another method succeeded, a line each."""
    rows = []
    for case in plan.cases:
        for seed in plan.seeds_of("auto"):
            own = records.get(plan.settings(case, seed, "auto"))
            if own is None or succeeds(case, own):
                continue
            others = [name for name in plan.methods if METHODS[name].takes(case) and seed in plan.seeds_of(name)]
            found = [(name, records.get(plan.settings(case, seed, name))) for name in others]
            better = [name for name, result in found if result is not None and succeeds(case, result)]
            rows += [f"{case.name}, seed {seed}: {', '.join(better)}"] if better else []
    return "\n".join(rows) or "none"


def _cell(line: Line | None) -> str:
    return "" if line is None else f"{line.successes}/{line.trials}, {line.seconds:.1f} s"


def _error(error: float) -> str:
    return f"{error:.1e}" if math.isfinite(error) else "none"


def _title(case: Case) -> str:
    """The case with its accuracy where that is not 1e-3."""
    return case.name + (f" at {case.accuracy:g}" if case.accuracy < WRONG else "")
