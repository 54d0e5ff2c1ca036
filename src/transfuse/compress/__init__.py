"""The shelf of compressions: one file makes a network smaller or faster, and the lift proves that it still answers."""
