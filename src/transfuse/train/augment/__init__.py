"""The augmentation shelf: what is done to training batches only; without it the loop would know each way of mixing."""
