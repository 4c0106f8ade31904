"""A task for the tests of workers: it waits for a file, or ends its process."""

import os
import signal
import time
from pathlib import Path

from rankwise.studies.tasks import TASKS, Outcome, Task


class Held(Task):
    """value: a number, whose square root is recorded. gate: the file waited for. deadly: whether it ends its worker."""

    keys = ("value", "gate", "deadly")

    def seeded(self, settings, seed):
        return {**settings, "value": seed}

    def check(self, settings, folder):
        pass

    def alike(self, settings):
        return "held"

    def run(self, many, folder, progress=None):
        for one in many:
            if one.get("deadly") == one["value"]:
                os.kill(os.getpid(), signal.SIGKILL)
            until = time.monotonic() + 60
            while "gate" in one and not Path(one["gate"]).exists() and time.monotonic() < until:
                time.sleep(0.02)
        return [Outcome("done", "", 0.0, numbers={"root": one["value"] ** 0.5}) for one in many]


TASKS["held"] = Held()
