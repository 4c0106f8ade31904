"""A run on disk: what it has reached, whole or not at all, from which it goes on to the same bits."""

from rankwise.checkpoint.container import RefusedCheckpoint
from rankwise.checkpoint.resuming import solve_batch_resumable, solve_resumable
from rankwise.checkpoint.saving import load_state, save_state

__all__ = ["RefusedCheckpoint", "load_state", "save_state", "solve_batch_resumable", "solve_resumable"]
