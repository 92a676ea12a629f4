"""Engines that run a study's jobs: local processes, or a Ray cluster."""
