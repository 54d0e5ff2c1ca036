"""From a recipe to a frozen graph of steps; nothing here imports torch.

Where to look, in the order in which a plan comes about:

    the recipe     `recipe`, `text`, `complaints`; its parts `task`, `budget`, `conditions`, `search_entry`
    the arms       `arms` (candidates), `words`, `ladder`, `controls`; kinds of candidate in `merges`, `students`,
                   `compressed`, `tuned`; what cannot be is refused by `abilities`, `heads`, `fields`
    the graph      `graph` (steps and keys), `setting`, `build` (an arm's steps), `choices`, `slots`, `make` (all of
                   it)
    what more      `exposures`, `attacks`, `retention`, `stitches`; `search` and `choosing` are plans of their own
"""
