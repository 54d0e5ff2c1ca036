"""Carrying out a plan: keys, workers, journal, budget, and the run folder.

Where to look:

    a run          `run`, and `choosing` for `transfuse choose`; `searched` for a search beforehand
    made ready     `prepare`, with `cards`, `surroundings`, `own_metrics`, `pressed`, `shards`, `leaks`, `near`
    the walk       `engine`, `worker`, `engines/` (the shelf), `ranked`, `needs`, `forecast`
    delivered      `deliver`, `shipped`, `clocks`; `tracking` and `trackers/` (the shelf) tell others
"""
