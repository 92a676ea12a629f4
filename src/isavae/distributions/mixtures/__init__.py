"""Mixtures of normals: entropies, minibatch estimates, sums in linear time."""
