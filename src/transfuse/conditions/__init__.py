"""Conditions: changes of the input, one file each; what an arm must stand that it was not trained for."""
