"""The judge: without it there are predictions but no claim. It needs numpy and scipy only and never sees a model.

Where to look, in the order in which a judgement comes about:

    what comes in     `case` (all that was fixed beforehand), `tables`; `elsewhere/` reads predictions that were made
                      by others
    metrics           `metrics/` (the shelf), `metric`, `functions` (users' own), `temperature`
    how sure          `statistics/` (arrays in, numbers out), `measure` (of a metric and tables)
    what is asked     `questions/` (the shelf), with `rows` and `cast` for all of them, and `answers`, `attacked`,
                      `harm`, `nearest`, `outside`, `stitching` for some
    what is said      `claims`, `recommend`, `words`, and `verdict`, which calls all of the above
    before training   `appraisal` (of `transfuse choose`), `scores/` (the shelf), `material`, `agreement`, `apart`;
                      `probes/` are the small models that they fit to features
"""
