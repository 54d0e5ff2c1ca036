"""Step kinds: one file a kind; the only place where rooms meet."""
