"""The shelf of data readers: without it a new kind of data would mean changes all over the package.

A file declares `TRAITS` and four functions, `matches`, `files`, `index` and `reader`; `data.open.Reader` says what each
is given and gives back.
"""
