"""The shelf of choosers: one file, one way to find coefficients by trying them on rows apart."""
