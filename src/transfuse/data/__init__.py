"""The data room: without it every part of the package would read files and split rows in its own way.

Where to look:

    the door       `open` (from what a recipe says to a table and raw items), `readers/` (the shelf), `extra` (further
                   sets beside the data)
    the table      `items`, `labels`, `columns`; for several readers `class_folders`, `photos`, `documents`
    who judges     `split`, `locked` (a declared test), `draw`, `strata`, `prefix` (fewer rows)
    seen before    `leakage` (the same), `near_duplicates` with `text_marks` (nearly the same), `familiar` (unlike)
    pixels         `canvas`, `thumbnail` (for a report)
"""
