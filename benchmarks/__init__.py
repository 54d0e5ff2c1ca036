"""Speed, as ratios of things measured side by side, interleaved, in one run; never as a test."""
