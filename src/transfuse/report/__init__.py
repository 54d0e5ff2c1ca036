"""The report room: without it the evidence would be a file that only programs read.

Where to look:

    what is read   `view` and `record` (the evidence by what it is about)
    what is said   `sections/` and `choosing/` (the shelves), of the vocabulary in `blocks`; `pieces`, `words`,
                   `quantities`, `numbers` for several of them; `charts/`
    the page       `document`, `compose` (of a run); as `html`, as `text` (Markdown), on a `terminal` or, of a choice,
                   `terminal_choice`, with `lines`
    beside it      `overview` (of many runs), `side_by_side` (of two), `exports/` (the shelf)
"""
