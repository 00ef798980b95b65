"""By whom: one sub-package per technology; foreign clients are imported nowhere else."""
