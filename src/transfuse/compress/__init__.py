"""The shelf of compressions: one file makes a network smaller or faster, and the lift proves that it still answers.

Files with an underscore hold what the others share and are no entries of the shelf; `_contract` is where to begin.
"""
