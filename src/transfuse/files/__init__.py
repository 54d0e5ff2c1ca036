"""Safe readers of foreign bytes: nothing else in this package opens a file that a stranger may have made."""
