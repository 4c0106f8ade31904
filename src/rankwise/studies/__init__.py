"""Studies: grids of names and numbers, run to the end whatever dies on the way, and what they show."""

from rankwise.studies.running import run_study
from rankwise.studies.study import Study, build_study, read_study

__all__ = ["Study", "build_study", "read_study", "run_study"]
