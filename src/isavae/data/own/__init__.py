"""A user's own images and factors."""
