"""The shelf of model exports; without it every other form of a model would be a change to the doors.

A file declares its law in the docstring, `TRAITS = {"suffix": ".onnx"}` and one function,
`write(program, example, path, facts)`: `program` is an exported graph, canvas [N, 3, S, S] to probabilities [N, C] for
any N, `example` a canvas, and `facts` are words by name that travel with the model.
"""
