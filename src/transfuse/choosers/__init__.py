"""The shelf of choosers: one file, one way to find coefficients by trying them on rows apart.

A file declares `CITATION`, `PARAMETERS` and one function, `choose(space, score, budget, rng, **settings) -> values`:
`space` gives each coefficient its lowest and highest value, `score(values)` is a loss, asked at most `budget` times,
and all that is drawn comes from `rng`. One with the trait `learns` has `learn(blend, batches, budget, **settings) ->
losses` in its place: it trains the `coefficients` of the merge, which it is given as a module.
"""
