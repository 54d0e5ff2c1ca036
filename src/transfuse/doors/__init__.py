"""The ways in: command line and Python.

Where to look:

    Python         `python` (the verbs), `study` (what they give), `merged`, `sklearn` (as an estimator)
    command line   `cli`, `commands/`; behind these `console` (progress), `demo`, `planned`, `finding` (runs)
    weights        `merging`, `mergekit` (its YAML), `inspecting` with `inspecting_folders` and `inspecting_remote`
    predictions    `pooling`, `predicting`
    models         `exporting`
    methods        `catalogue`, `checking`, `writing` (a new file of a shelf)
"""
