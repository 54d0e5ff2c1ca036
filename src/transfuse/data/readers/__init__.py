"""The shelf of data readers: without it a new kind of data would mean changes all over the package."""
