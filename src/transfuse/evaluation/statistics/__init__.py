"""Arrays in, numbers with their uncertainty out: without them each question would bring statistics of its own.

Nothing here knows a case, a table or a row of evidence.

Where to look:

    how sure          `resample` (t intervals), `bootstrap`, `weighted` (of ranks), `folds`, `permutation`, `power`
    of answers        `rank`, `reliability`, `selective`, `diversity`, `corruption`
    of arms           `attribution` (Shapley values), `learning` (curves over sizes), `survival` (times, censored),
                      `optimism` (of choosing), `next` (what would settle it)
    of features       `similarity` (CKA)
"""
