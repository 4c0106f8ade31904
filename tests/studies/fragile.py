"""A task for the tests of runs and records: it fails for some cases."""

from rankwise.studies.tasks import Outcome, Task


class Fragile(Task):
    """Half of a number; odd ones fail with the words of `fails`, while there are any."""

    keys = ("number",)
    fails = "odd\nnumber"

    def seeded(self, settings, seed):
        return {**settings, "number": seed}

    def check(self, settings, folder):
        pass

    def alike(self, settings):
        return "all"

    def run(self, many, folder, progress=None):
        if self.fails and any(settings["number"] % 2 for settings in many):
            raise ZeroDivisionError(self.fails)
        return [Outcome("done", "fine", 0.0, numbers={"half": settings["number"] / 2}) for settings in many]
