"""Step kinds: one file a kind; the only place where rooms meet.

A kind offers `run(params, inputs, context) -> (meta, arrays)`, those that fit an arm also a function `predict`;
`REVISION` is part of the key. Files with an underscore hold what several kinds share: `_context` (what every step is
given), `_fitted` (what every fitted arm leaves behind), `_networks` and `_model` (networks from a plan, and back from
the store), `_tuned`, `_taught`, `_trials` (training), `_merging` (merges), `_case` (what the judge is given).

Where to look:

    looking at sources     `extract`, `stated`, `probe`, `appraise`, `stitch`, `search`, `propose`
    fitting arms           `prior`, `as_is`, `train`, `pool`, `merge`, `compress`, `retrain`, `teach`, `match`
    choosing, asking       `choose`, `predict`, `attack`, `retain`
    counting, judging      `count`, `measure`, `evaluate`, `ship`
"""
