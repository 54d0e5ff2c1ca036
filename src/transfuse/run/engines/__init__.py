"""The engines shelf: where steps run. Each file offers `pool(workers, place)`; without it the walk would know each."""
