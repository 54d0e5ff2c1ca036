"""Carrying out a plan: keys, workers, journal, budget, and the run folder."""
