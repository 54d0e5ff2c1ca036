"""Conditions: changes of the input, one file each; what an arm must stand that it was not trained for.

Files with an underscore hold what the others share and are no entries of the shelf; `_contract` is where to begin.
"""
