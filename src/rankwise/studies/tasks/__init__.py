"""What cases of studies do, by name."""

from rankwise.studies.tasks.base import Outcome, Task
from rankwise.studies.tasks.instance import Instance
from rankwise.studies.tasks.recover import Recover
from rankwise.studies.tasks.solve import Solve
from rankwise.studies.tasks.theory import Theory
from rankwise.studies.tasks.work import Work

TASKS: dict[str, Task] = {"solve": Solve(), "recover": Recover(), "instance": Instance(), "theory": Theory()}

__all__ = ["TASKS", "Instance", "Outcome", "Recover", "Solve", "Task", "Theory", "Work"]
