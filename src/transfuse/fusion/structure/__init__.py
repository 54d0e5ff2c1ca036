"""The shelf of `structure` methods: one file, one method."""
