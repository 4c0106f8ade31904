"""The plan of the gradient flows: an adaptive integrator carries a state from one requested time to the next."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from rankwise.plain import checked, positive_integer
from rankwise.problems import Misfit, Problem
from rankwise.registry import look_up
from rankwise.results import RESULTS
from rankwise.solvers.base import Array, Solver

METHODS: dict[str, str] = {
    "dopri8": "Dopri8",
    "tsit5": "Tsit5",
    "kvaerno5": "Kvaerno5",
}
# How many equal parts a horizon given as one number is cut into.
PARTS = 200


class FlowState(NamedTuple):
    """Where a flow stands: its variables and the time.

    floor: the absolute error allowed per variable, a share of the start's size. evaluations: steps of the
    integrator so far, rejected ones too. bridged: how often two singular values met. stuck: whether the
    integrator gave up.
    """

    params: Any
    time: Array
    floor: Array
    evaluations: Array
    bridged: Array
    stuck: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Flow(Solver):
    """dparams/dt = velocity(params), integrated with adaptive error control; step k of `solve` ends at times[k].

    times: the requested times, ascending from 0, or a horizon (then 200 equal parts of it).
    tolerance: the local error allowed per step, relative to each variable, and absolute relative to the
    root mean square of the variables at the start: so plateaus near zero are followed as precisely as the rest.
    method: "dopri8" (explicit, order 8), "tsit5" (explicit, order 5: cheaper at loose tolerances) or "kvaerno5"
    (implicit, order 5: for small stiff problems, its steps solve dense linear systems).
    explained: stop when the loss, in the problem's own scale, is at most this; None never stops so.
    stationary: stop when the norm of the velocity is at most this; None stops so only at W = 0, if nothing moves it.
    inner_steps: the most steps of the integrator between two requested times.

    The tolerance is met in float64 only. The integrator is that of diffrax (Kidger 2021, `kidger2021neural`).
    """

    times: Any = 1.0
    tolerance: float = 1e-8
    method: Literal["dopri8", "tsit5", "kvaerno5"] = "dopri8"
    explained: float | None = None
    stationary: float | None = None
    inner_steps: int = 100_000
    check_every: int = 1

    driver: ClassVar[Literal["compiled", "host"]] = "compiled"
    misfits: ClassVar[tuple[type[Misfit], ...]] = (Misfit,)
    recorded: ClassVar[tuple[str, ...]] = ("time", "integrator_steps")

    def __post_init__(self) -> None:
        look_up(self.method, METHODS, "method")
        positive_integer(self.inner_steps, "inner_steps")
        positive_integer(self.check_every, "check_every")
        object.__setattr__(self, "times", requested_times(self.times))
        object.__setattr__(self, "tolerance", checked(self.tolerance, "tolerance", above=0))
        for name in ("explained", "stationary"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checked(getattr(self, name), name, least=0))

    @abstractmethod
    def begin(self, problem: Problem, key: Any) -> Any:
        """The variables at time 0."""

    @abstractmethod
    def velocity(self, problem: Problem, params: Any) -> Any:
        """dparams/dt."""

    @abstractmethod
    def end_to_end(self, params: Any) -> Array:
        """The (d1, d2) matrix that the variables stand for."""

    def at_rest(self, problem: Problem, params: Any) -> Array:
        """Whether the matrix is 0 and its velocity too: at depth 2 and more such a start never moves."""
        import jax
        import jax.numpy as jnp

        parts = (self.end_to_end(params), *jax.tree.leaves(self.velocity(problem, params)))
        return jnp.stack([(part == 0).all() for part in parts]).all()

    @property
    def default_steps(self) -> int:
        """As many as there are requested times after 0."""
        return self.times.shape[-1] - 1

    def last_step(self, state: Any) -> int:
        """One step for each requested time after that of the state."""
        if state is None or not isinstance(state[0], FlowState):
            return self.default_steps
        return state[1] + int(np.count_nonzero(self.times > float(state[0].time)))

    @property
    def default_checkpoints(self) -> int:
        """Every requested time is measured."""
        return max(self.default_steps, 1)

    def check(self, problem: Problem) -> None:
        """Raise a ValueError unless the data are float64."""
        if problem.dtype != np.float64:
            raise ValueError(f"a flow is integrated in float64; the observations are {problem.dtype}")

    def init(self, problem: Problem, key: Any) -> FlowState:
        """The variables at time 0."""
        import jax.numpy as jnp

        params = self.begin(problem, key)
        mean_square = self.mean_square(params)
        zero = jnp.zeros((), jnp.int32)
        floor = self.tolerance * jnp.where(mean_square > 0, jnp.sqrt(mean_square), 1.0)
        return FlowState(params, jnp.asarray(self.times[0]), floor, zero, zero, zero > 0)

    def mean_square(self, params: Any) -> Array:
        """The mean square of the variables, which says what error is small."""
        import jax

        leaves = jax.tree.leaves(params)
        return sum((leaf**2).sum() for leaf in leaves) / sum(leaf.size for leaf in leaves)

    def step(self, problem: Problem, state: FlowState) -> FlowState:
        """The state at the next requested time."""
        import jax.numpy as jnp

        until = self.next_time(state)
        params, now, taken, stuck = self.integrate(self.velocity, problem, state.params, state.time, until, state.floor)
        return state._replace(
            params=params, time=jnp.where(stuck, now, until), evaluations=state.evaluations + taken,
            stuck=state.stuck | stuck,
        )  # fmt: skip

    def next_time(self, state: FlowState) -> Array:
        """The first requested time after that of the state, or the last one."""
        import jax.numpy as jnp

        times = jnp.asarray(self.times)
        return times[jnp.minimum(jnp.searchsorted(times, state.time, side="right"), times.shape[0] - 1)]

    def integrate(
        self,
        velocity: Callable[[Problem, Any], Any],
        problem: Problem,
        params: Any,
        begin: Array,
        end: Array,
        floor: Array,
        event: Any = None,
    ) -> tuple[Any, Array, Array, Array]:
        """The variables at the end, the time reached, the integrator's steps, and whether it gave up on the way."""
        import diffrax
        import jax

        method = getattr(diffrax, METHODS[self.method])()
        numbers, form = jax.tree.flatten(problem)
        term = diffrax.ODETerm(lambda _, y, args: velocity(form.unflatten(args), y))
        done = diffrax.diffeqsolve(
            term, method, begin, end, None, params, numbers,
            saveat=diffrax.SaveAt(t1=True), max_steps=self.inner_steps, throw=False,
            stepsize_controller=diffrax.PIDController(rtol=self.tolerance, atol=floor), event=event,
        )  # fmt: skip
        assert done.ys is not None
        assert done.ts is not None
        last = jax.tree.map(lambda leaf: leaf[0], done.ys)
        failed = (done.result != diffrax.RESULTS.successful) & (done.result != diffrax.RESULTS.event_occurred)
        return last, done.ts[0], done.stats["num_steps"].astype("int32"), failed

    def outcome(self, problem: Problem, state: FlowState) -> Array:
        """The code of non_finite, integrator_stuck, explained, converged, end_time, or running."""
        import jax
        import jax.numpy as jnp

        code = jnp.where(state.time >= jnp.asarray(self.times)[-1], RESULTS.end_time.code, RESULTS.running.code)
        if self.stationary is not None:
            speed = sum((v**2).sum() for v in jax.tree.leaves(self.velocity(problem, state.params)))
            code = jnp.where(speed <= self.stationary**2, RESULTS.converged.code, code)
        code = jnp.where(self.at_rest(problem, state.params), RESULTS.converged.code, code)
        if self.explained is not None:
            code = jnp.where(problem.loss(self.matrix(state)) <= self.explained, RESULTS.explained.code, code)
        code = jnp.where(state.stuck, RESULTS.integrator_stuck.code, code)
        return jnp.where(jnp.isfinite(self.matrix(state)).all(), code, RESULTS.non_finite.code)

    def matrix(self, state: FlowState) -> Array:
        """The end-to-end matrix."""
        return self.end_to_end(state.params)

    def record(self, state: FlowState) -> dict[str, Array]:
        """time, and the integrator's steps so far."""
        return {"time": state.time, "integrator_steps": state.evaluations}


def requested_times(times: Any) -> np.ndarray:
    """Ascending times from 0 as an array; a number is a horizon, cut into `PARTS` equal parts.

    Raises:
        ValueError: if they are not finite, ascending and non-negative, or there is none after 0.
    """
    array = np.asarray(times, float)
    if array.ndim == 0 and np.isfinite(array):
        array = np.linspace(0.0, float(array), PARTS + 1)
    ascending = array.ndim == 1 and array.size > 0 and array[0] >= 0 and (np.diff(array) > 0).all()
    if not (ascending and np.isfinite(array).all()):
        raise ValueError("times must be a positive horizon, or finite times that ascend from 0")
    if array[0] > 0:
        array = np.insert(array, 0, 0.0)
    if array.size < 2:
        raise ValueError("times must hold one after 0")
    array.flags.writeable = False
    return array
