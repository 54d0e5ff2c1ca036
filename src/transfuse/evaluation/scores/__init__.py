"""The shelf of transferability scores: how good a source may be for a task, before anything is trained on it.

A file declares `score(material, **settings) -> Value`, higher is better for every one of them, whatever its paper says;
with the trait `sets` it declares `together(materials, **settings) -> Value` too. `NEEDS` lists what of the material it
cannot do without (`folds`, `answers`, `parameters`, `stated_accuracy`); the trait `default` says whether it is asked
without being asked for, `unit` what its numbers are, `classes: False` that it works on rows of one class. None of these
is the truth about a source: docs/choose.md tells how each has done.
"""
