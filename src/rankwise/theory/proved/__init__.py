"""One file per result: each builds its instance, runs it, and returns a finding."""
