"""Independent evaluations of the paper's formulas, written for exactness and nothing else."""
