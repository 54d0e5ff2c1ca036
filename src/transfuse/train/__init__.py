"""Training: one readable loop, regimes, and the feed that gives it batches.

Where to look:

    the loop       `loop`, with `fitted`, `feed`, `batches`, `learner`, `adamw`, `rates`, `losses`, `held`
    regimes        `stages`, `averaging`, `past`, `ranks` and `sharded` (several processes)
    what it seeks  `objectives/` and `augment/` (the shelves)
    around it      `tune` (rate and length), `study` (a search for settings), `health` (of the branches)
    many at once   `stack`, `stack_given`, `stack_linear`, `stack_bodies`, `stack_adam`
"""
