"""Training: one readable loop, regimes, and the feed that gives it batches."""
