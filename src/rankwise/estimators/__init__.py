"""From a table with holes to a filled table: scaling, choice by held-out error, an honest error estimate."""

from rankwise.estimators.completing import METHODS, Completed, complete

__all__ = ["METHODS", "Completed", "complete"]
