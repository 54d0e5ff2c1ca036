"""The shelf of statistics: one file, one thing that is collected of a network on unlabelled images."""
