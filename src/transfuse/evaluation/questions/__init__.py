"""The question shelf; without it every new question about a case would be a change to the judge.

A file declares `ORDER` and one function, `ask(case) -> list of Evidence`. It asks nothing where its material is absent.
It may declare `flags(case, rows) -> list of Flag` too: what must temper the verdict, from the rows of all questions by
id; a flag names the rows it rests on. And `silent(case) -> {what: why}`: what it does not ask of this kind of task, so
that nobody takes silence for a finding.
"""
