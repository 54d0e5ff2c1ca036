"""Predictions that others made: the verb `evaluate`, from files and arrays to a case; never the run's own arms.

Where to look, in the order in which they are read:

    the verb          `door`, `asked` (the kind of task and its metrics)
    records           `files`, `columns` (labels and numbers of several columns), `item_scores` (of anything),
                      `rounded` (what a file prints)
    put together      `join` (by item), `unions` (of different classes)
"""
