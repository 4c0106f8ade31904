"""Why a run stopped: an enumeration whose values are sentences with advice."""

from __future__ import annotations

from enum import Enum


class RESULTS(Enum):
    """Reasons to stop. `RESULTS.explained.name` is for programs, `RESULTS.explained.value` for people."""

    running = "The run has not stopped yet."
    explained = "The observations are explained to the tolerance asked for."
    converged = (
        "Nothing the factorization can do lowers the loss: a stationary point, which need not fit exactly. If the loss "
        "is not small, the observations contradict one another (say how large the noise is), or a start larger or "
        "elsewhere is needed."
    )
    optimal = (
        "The duality gap and the violation of the constraints are within the tolerance: no matrix that fits has an "
        "objective lower by more than the gap."
    )
    noise_level = "The residual has reached the noise, given or estimated; fitting further would fit noise."
    closed_form = "Means and effects are computed at once: there was nothing to iterate."
    no_holes = "There was no hole to fill."
    holdout_stopped = "Held-out error stopped improving; the rank with the least held-out error was kept and refitted."
    holdout_step = (
        "Held-out error stopped improving; the model of the step with the least held-out error was kept and trained "
        "again on everything."
    )
    max_steps = "The step limit was reached. Pass the state back with a larger max_steps to go on."
    max_rank = (
        "The rank limit was reached: max_rank, or the smaller side. Raise max_rank, where that is lower, if the "
        "residual is still too large."
    )
    underdetermined = (
        "The rank reached, or the next, has as many parameters as there are independent observations, so no fit of it "
        "could be trusted. More observations, a ridge or a held-out rank choice are needed."
    )
    stalled = (
        "No further rank-one term reduces the loss: a local minimum of the factors. A small ridge, more "
        "observations or another solver may pass it."
    )
    flat = (
        "The steps no longer lower the residual at the rank given: a local minimum, a rank too low, or a matrix too "
        "ill-conditioned for the method. Leave the rank out so that it grows, or take another solver."
    )
    inner_limit = (
        "The last fit, of a rank or a weight, did not end within its inner steps, so nothing can be said of those to "
        "follow. Raise inner_steps."
    )
    infeasible = (
        "No matrix of reasonable size satisfies the constraints: every one has a norm far above what the observations "
        "allow. Give delta or weight, or drop a constraint."
    )
    diverging_norm = (
        "The norm of the matrix has outgrown what the observations allow: a spurious singular value is running "
        "away, or the start is larger than the data. Lower the learning rate (1e-3 is safe for Adam with the ratio "
        "penalty) or the starting scale, if the solver has such a setting; take a ridge or more observations where the "
        "best fit lies at infinity; or raise norm_limit."
    )
    end_time = "The last requested time was reached. Pass the state back with later times to go on."
    integrator_stuck = (
        "The integrator did not reach the next time within its step limit. Ask for less precision, raise inner_steps, "
        "or take method='kvaerno5' where the flow is stiff."
    )
    crossing = (
        "Two singular values met, or one came to 0 at depth 1, where vectors are not defined. Follow the product "
        "instead (EndToEndFlow), or let SpectralFlow bridge the meeting (bridge=True)."
    )
    non_finite = (
        "The iterate is no longer finite. Lower the learning rate or the starting scale; where there is neither, take "
        "another solver."
    )
    budget = "The budget ended the search; more time may find a higher rank."

    @property
    def code(self) -> int:
        """The position in the enumeration: how compiled code names this result."""
        return _MEMBERS.index(self)

    @classmethod
    def of(cls, code: int) -> RESULTS:
        """The member with this code."""
        return _MEMBERS[int(code)]

    @property
    def successful(self) -> bool:
        """Whether the run ended at what it was asked for, not at a limit or in trouble."""
        return self in (
            RESULTS.explained,
            RESULTS.converged,
            RESULTS.optimal,
            RESULTS.noise_level,
            RESULTS.holdout_stopped,
            RESULTS.holdout_step,
        )


_MEMBERS = tuple(RESULTS)
RUNNING = RESULTS.running
