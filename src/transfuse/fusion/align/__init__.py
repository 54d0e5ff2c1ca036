"""The shelf of `align` lens makers: one file, one way to find which units of two networks are the same."""
