"""The shelf of `weights` methods: one file, one method."""
