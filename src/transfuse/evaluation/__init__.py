"""The judge: without it there are predictions but no claim. It needs numpy and scipy only and never sees a model.

Where to look, in the order in which a judgement comes about:

    what comes in     `case` (all that was fixed beforehand), `tables`; from elsewhere `door`, `asked`, `files`,
                      `join`, `columns`, `unions`, `item_scores`
    metrics           `metrics/` (the shelf), `metric`, `functions` (users' own), `temperature`
    how sure          `measure`, `resample`, `bootstrap`, `weighted`, `rank`, `folds`, `permutation`, `power`
    what is asked     `questions/` (the shelf), with `rows` and `cast` for all of them; the arithmetic of one or two
                      of them stands in `answers`, `attacked`, `attribution`, `corruption`, `diversity`, `harm`,
                      `learning`, `next`, `optimism`, `outside`, `reliability`, `selective`, `similarity`,
                      `stitching`, `survival`
    what is said      `claims`, `recommend`, `words`, and `verdict`, which calls all of the above
    before training   `appraisal` (of `transfuse choose`), `scores/` (the shelf), `material`, `agreement`, `apart`,
                      `ridge`, `lattice`, `band`, `moments`, `mixture`, `logme_fit`, `logme_published`
"""
