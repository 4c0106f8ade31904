"""The plan of every solver: settings only, the state stands beside it, and the loop is not its business."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from rankwise.plain import Plain
from rankwise.problems import Misfit, Problem, Squared

Array = Any
State = Any


class Solver(Plain, ABC):
    """An iterative method. `solve` runs it: init, then step until `outcome` says why to stop.

    `driver` says who runs the loop: "compiled" (all five methods are traced by JAX, and whole batches run at
    once) or "host" (NumPy and SciPy; ranks may change and factorizations be reused between steps). `layered`
    says whether the matrix is a product whose `layers` measures may look at. `misfits` are the kinds of misfit it
    can work with: least squares alone, unless it says more. `recorded` names the numbers that `record` gives: a study
    that asks for another one is refused before anything runs. `check_every` is a setting of those whose stopping tests
    are made at multiples of so many steps.
    """

    driver: ClassVar[Literal["compiled", "host"]]
    layered: ClassVar[bool] = False
    misfits: ClassVar[tuple[type[Misfit], ...]] = (Squared,)
    recorded: ClassVar[tuple[str, ...]] = ()
    check_every: ClassVar[int] = 1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "record" in cls.__dict__ and "recorded" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} has `record`, so it must name in `recorded` the numbers that this gives")

    @property
    @abstractmethod
    def default_steps(self) -> int:
        """The step limit unless `solve` is told another."""

    def last_step(self, state: tuple[State, int] | None) -> int:
        """The step limit for a run that goes on from a state, unless `solve` is told another."""
        del state
        return self.default_steps

    @property
    def default_checkpoints(self) -> int:
        """How many checkpoints `solve` measures at unless told otherwise."""
        return 100

    @abstractmethod
    def init(self, problem: Problem, key: Any) -> State:
        """The state before the first step."""

    @abstractmethod
    def step(self, problem: Problem, state: State) -> State:
        """The state one step later."""

    @abstractmethod
    def outcome(self, problem: Problem, state: State) -> Any:
        """RUNNING, or why to stop: a `RESULTS` member (host) or its code (compiled)."""

    @abstractmethod
    def matrix(self, state: State) -> Any:
        """The matrix a state stands for: a dense array or a `LowRank`."""

    def layers(self, state: State) -> tuple[Array, ...]:
        """The factors behind the matrix, first the one that acts first; empty if there are none."""
        del state
        return ()

    def record(self, state: State) -> dict[str, Any]:
        """Numbers of its own that a solver adds to the history at every checkpoint, named in `recorded`."""
        del state
        return {}

    def check(self, problem: Problem) -> None:
        """Raise a ValueError if the solver cannot work on this problem."""
