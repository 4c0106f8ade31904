"""What a theorem says beside what was measured: numbers that must agree, and the curves to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rankwise.vocabulary import name_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Relation = Literal["=", "<=", ">="]
Kind = Literal["theorem", "conjecture", "measurement"]


@dataclass(frozen=True)
class Check:
    """One number: what was measured, what is proved, and how they must relate.

    tolerance is relative to |proved| (absolute where that is 0): "=" holds if |measured - proved| is within it,
    "<=" and ">=" if the bound is not broken by more.
    """

    label: str
    measured: float
    proved: float
    relation: Relation = "="
    tolerance: float = 0.0

    @property
    def slack(self) -> float:
        """The tolerance in absolute terms."""
        return self.tolerance * (abs(self.proved) if self.proved else 1.0)

    @property
    def holds(self) -> bool:
        """Whether they relate so; never if the measured number is not finite."""
        excess = self.measured - self.proved
        off = {"=": abs(excess), "<=": excess, ">=": -excess}[self.relation]
        return bool(np.isfinite(self.measured) and off <= self.slack)

    def __str__(self) -> str:
        within = f" (within {self.tolerance:.2g})" if self.tolerance else ""
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return f"{self.label}: {self.measured:.6g} {self.relation} {self.proved:.6g}{within}: {verdict}"


@dataclass(frozen=True, eq=False)
class Curve:
    """y against x: measured curves are solid, predicted ones dashed, bounds dotted, single measurements points.

    "dots" are a line with its points filled, so that the "open" points of what was published stand apart from it.
    A label that ends in " (predicted)", " (bound)" or " (published)" belongs to the curve of the name before it and
    has its color. band: the lowest and the highest y at each x, shaded, or bars at points. color: in place of the one
    that its name gets by its position.
    """

    label: str
    x: Any
    y: Any
    style: Literal["line", "dashed", "dotted", "points", "dots", "open"] = "line"
    band: tuple[Any, Any] | None = None
    color: str = ""

    @property
    def name(self) -> str:
        """The label without what it is to the curve of that name."""
        return name_of(self.label)


@dataclass(frozen=True, eq=False)
class Line:
    """A straight line through a panel: at a y, or upright at an x; in the color of the curve of that name, if any."""

    label: str
    at: float
    upright: bool = False
    name: str = ""


@dataclass(frozen=True, eq=False)
class Panel:
    """One plot: curves on linear or logarithmic axes ("", "x", "y", "xy" says which are logarithmic).

    lines: across the whole of it. ticks: the names of x = 0, 1, ... where x is no number. x_range, y_range: the ends
    of the axes, None where the curves say.
    """

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    log: Literal["", "x", "y", "xy"] = ""
    lines: tuple[Line, ...] = ()
    ticks: tuple[str, ...] = ()
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Chart:
    """One map: values z of shape (len(y), len(x)) over two settings, numbers or words, on a logarithmic scale if `log`.

    limits: the values at the ends of the color scale, so that maps can be compared; None takes those of z.
    """

    title: str
    x: str
    y: str
    x_values: Sequence[float | str]
    y_values: Sequence[float | str]
    z: Any
    z_label: str
    log: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Finding:
    """A theorem, conjecture or measurement, the instance it was run on, and what came out.

    name: as in `RESULTS_PROVED`. statement: what is claimed, in one sentence. source: keys of the bibliography,
    with theorem or equation. checks: the numbers. panels: what `figure` draws. details: whatever else a reader may
    want to compute with (solutions, instances), by name. notes: sentences to read beside the checks: what was assumed
    and does not hold, or numbers that nothing is claimed of.
    """

    name: str
    statement: str
    source: str
    checks: tuple[Check, ...]
    panels: tuple[Panel | Chart, ...] = ()
    kind: Kind = "theorem"
    details: Any = None
    notes: tuple[str, ...] = ()

    @property
    def measured(self) -> np.ndarray:
        """The measured numbers, in the order of the checks."""
        return np.array([check.measured for check in self.checks])

    @property
    def proved(self) -> np.ndarray:
        """The numbers that theory gives."""
        return np.array([check.proved for check in self.checks])

    @property
    def tolerance(self) -> np.ndarray:
        """The tolerances, relative to the proved numbers (absolute where these are 0)."""
        return np.array([check.tolerance for check in self.checks])

    @property
    def holds(self) -> bool:
        """Whether every check does, and there is one."""
        return bool(self.checks) and all(check.holds for check in self.checks)

    def table(self) -> str:
        """One line for the statement, one per check and one per note."""
        lines = [f"{self.name} ({self.kind}; {self.source}): {'holds' if self.holds else 'DOES NOT HOLD'}"]
        return "\n".join([*lines, *(f"  {line}" for line in (self.statement, *self.checks, *self.notes))])

    def figure(self) -> Figure:
        """The panels as a Matplotlib figure.

        Raises:
            ImportError: if Matplotlib is not installed.
        """
        from rankwise.theory.drawing import draw

        return draw(self.panels)

    def record(self) -> dict[str, Any]:
        """All of it but the details as plain numbers, words, lists and dictionaries: what a page is drawn from."""
        checks = [{**asdict(check), "holds": check.holds} for check in self.checks]
        words = {"name": self.name, "statement": self.statement, "source": self.source, "kind": self.kind}
        panels = [plain(asdict(p)) for p in self.panels]
        return {**words, "holds": self.holds, "checks": checks, "notes": list(self.notes), "panels": panels}

    def __repr__(self) -> str:
        kept = sum(check.holds for check in self.checks)
        return f"Finding({self.name}: {kept} of {len(self.checks)} checks hold)"


def panel_of(record: dict[str, Any]) -> Panel | Chart:
    """The panel or chart that a record describes; None in its numbers becomes NaN."""
    if "z" in record:
        limits = record["limits"] and tuple(record["limits"])
        return Chart(**{**record, "z": np.array(record["z"], float), "limits": limits})
    curves = [{**curve, "y": np.array(curve["y"], float)} for curve in record["curves"]]
    lines = tuple(Line(**line) for line in record.get("lines", ()))
    return Panel(**{**record, "curves": tuple(Curve(**curve) for curve in curves), "lines": lines})


def plain(value: Any) -> Any:
    """A record without arrays: lists and numbers in place of arrays; None in place of what is not finite."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
