"""The shelf of report sections: without it every new question would mean editing the renderers.

A file declares `ORDER` and one function, `blocks(view)`: a heading and what follows it, in the vocabulary of
`report.blocks`; nothing where the run has nothing to say of it.
"""
