"""The shelf of `weights` methods: one file, one method.

A file declares `CITATION`, `PARAMETERS`, `TRAITS`, and defines `merge(unit)`, with `reference(unit)` where
it has a fast form. `fusion.contract` says what is given to it and what it gives back.
"""
