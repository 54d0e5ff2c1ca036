"""Pretrained models behind one door."""
