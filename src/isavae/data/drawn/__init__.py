"""Data sets that are drawn here: dSprites, heads, cars and rooms."""
