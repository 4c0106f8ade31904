"""The code and the versions that records name, under the name by which studies know them."""

from rankwise.source import ASIDE, PACKAGES, code, stripped, versions

__all__ = ["ASIDE", "PACKAGES", "code", "stripped", "versions"]
