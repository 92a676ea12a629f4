"""Tables of a study: results, summaries, choices."""
