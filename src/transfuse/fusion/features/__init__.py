"""The shelf of `features` methods: one file, one method.

A file declares `CITATION`, `PARAMETERS`, `TRAITS`, and defines the class `Fuser`.
`fusion.contract` says what is given to it and what it gives back.
"""
