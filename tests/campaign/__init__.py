"""Kills at random moments and damaged files, with a seed that repeats them: `make campaign`."""
