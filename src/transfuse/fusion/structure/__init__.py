"""The shelf of `structure` methods: one file, one method.

A file declares `CITATION`, `PARAMETERS`, `TRAITS`, and defines `build(fronts, **settings)`.
`fusion.contract` says what is given to it and what it gives back.
"""
