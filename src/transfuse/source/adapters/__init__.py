"""The shelf of origins: one file per place a pretrained model comes from."""
