"""Kills, full disks and damaged files, with a seed that repeats them: `make campaign`."""
