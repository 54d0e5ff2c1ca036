"""The shelf of `align` lens makers: one file, one way to find which units of two networks are the same.

A file declares `CITATION`, `PARAMETERS`, `NEEDS` (statistics) and one function, `match(groups, kept, other, stat, rng)
-> Turn`: how the other network's hidden units must be ordered so that they lie nearest to the kept one's.
"""
