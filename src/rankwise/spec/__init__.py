"""From names and numbers, as in a TOML file, to problems and solvers; and from a solution to a record on disk."""

from rankwise.spec.derived import concrete
from rankwise.spec.problems import build_problem
from rankwise.spec.record import record, write_record
from rankwise.spec.run import RUN_KEYS, Spec, build_arguments, build_spec, read_spec, read_toml
from rankwise.spec.solvers import build_solver

__all__ = [
    "RUN_KEYS",
    "Spec",
    "build_arguments",
    "build_problem",
    "build_solver",
    "build_spec",
    "concrete",
    "read_spec",
    "read_toml",
    "record",
    "write_record",
]
