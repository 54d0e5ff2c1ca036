"""The export shelf; without it every other form of a result would be a change to the doors.

A file declares its law in the docstring, `TRAITS = {"suffix": ".md"}` and one function, `render(view) -> str`.
"""
