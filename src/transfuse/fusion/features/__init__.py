"""The shelf of `features` methods: one file, one method."""
