"""The shelf of `outputs` methods: one file, one method."""
