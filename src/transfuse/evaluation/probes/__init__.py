"""Small models fitted to frozen features, in closed form: without them each score would solve its own equations.

Where to look:

    what is shared    `moments` (of features, once for all that follows), `band` (one Gram matrix, many shifts)
    the models        `ridge` (linear heads), `logme_fit` and `logme_published` (Bayesian linear models), `mixture`
    of all sets       `lattice` (their evidence; of many, `together`), `closed_forms` (their answers on the rows they
                      learned from)
"""
