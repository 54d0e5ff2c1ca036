"""The data room: without it every part of the package would read files and split rows in its own way."""
