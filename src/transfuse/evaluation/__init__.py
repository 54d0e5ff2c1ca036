"""The judge: without it there are predictions but no claim. It needs numpy and scipy only and never sees a model."""
