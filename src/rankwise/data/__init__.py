"""Data: synthetic ground truths and their observations, and tables with holes from files and frames."""
