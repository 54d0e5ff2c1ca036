"""The shelf of `outputs` methods: one file, one method.

A file declares `CITATION`, `PARAMETERS`, `TRAITS`, and defines `fit` and `apply`.
`fusion.contract` says what is given to them and what they give back.
"""
