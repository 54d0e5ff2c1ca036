"""The shelf of statistics: one file, one thing that is collected of a network on unlabelled images.

A file declares `CITATION`, `PARAMETERS` and one function, `collect(network, batches, rng, **settings) -> arrays`,
by the names of the tensors they belong to; the network stays as it is.
"""
