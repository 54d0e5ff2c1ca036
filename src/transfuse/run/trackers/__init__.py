"""The trackers shelf: who is told of finished runs; without it a run would have to know every such service."""
