"""The report room: without it the evidence would be a file that only programs read."""
