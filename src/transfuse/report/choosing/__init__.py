"""The shelf of sections on a choice of sources: they stand where a run's report has its own.

A file declares `ORDER` and `blocks(view)`, as on `report/sections`.
"""
