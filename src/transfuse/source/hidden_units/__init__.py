"""Which axes of which tensors share the order of their hidden units: what aligning and widening networks rest on.

Where to look:

    the answer      `groups` (sets of axes that one permutation moves together), `units`, `unit_labels`
    how it is found `follower` (labels through one traced run), with `follow`, `follow_layers` and `follow_heads` for
                    what each operation does to them
"""
