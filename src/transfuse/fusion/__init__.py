"""Fusing: four families of method, the lifts that do what their methods have in common, and what a fusion makes.

Where to look:

    what a method is   `contract`; `checks/` holds any method to it
    weights            `weights/` (the shelf), `weights_lift`; before it `preflight`, `lineage`; of files `streamed`,
                       `uploaded`; after it `repair`, `buffers`; `arrays` (numpy and torch by one name); `agreed`
                       and `trimming` make TIES fast; `learned` and `path` look for coefficients; `statistics/` is
                       what methods need to know of the members
    alignment          `align/` (the shelf), `aligned`, `turning`, `resizing`
    features           `features/` (the shelf), `connect`, `joints`, `heads`, `dropping`
    structure          `structure/` (the shelf), `connect`, `connectors`, `parts`, `recipient`, `widths`
    outputs            `outputs/` (the shelf), `outputs_lift`, `kinds_lift`, `heat`, `sizes`
    what is made       sources again: `made`, `fused`, `pooled`, `viewed`, `lowered`, `rounded`, `graphed`; `tree`
                       shows one, `saved` keeps one, `graph` and `exports/` ship one
"""
