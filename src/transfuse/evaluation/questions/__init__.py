"""The question shelf; without it every new question about a case would be a change to the judge.

A file declares `ORDER` and one function, `ask(case) -> list of Evidence`.
"""
