"""From a recipe to a frozen graph of steps; nothing here imports torch."""
