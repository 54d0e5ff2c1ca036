"""The objective shelf: what a training strives for; without it every new loss would be a change to the loop."""
