"""Recovery of low-rank matrices from few entries: instances, methods, records on disk, table and picture.

python -m benchmarks.recovery [--seeds 20] [--first-seed 0] [--cases NAME,...] [--methods NAME,...] [--grid]
"""
