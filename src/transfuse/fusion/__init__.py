"""Fusing: four families of method, one lift each, and the Source that a fusion makes."""
