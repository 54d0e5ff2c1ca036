"""A framework's own ways into a Source: each is imported when a source of its kind is opened.

Where to look:

    Hugging Face    `hf_models`, `hf_texts`, `hf_zero_shot`
    Keras           `keras_files` (archives), `keras_network`, `keras_backend` (the only place that imports it)
    ONNX            `onnx_source` (which way), `onnx_graph`, `onnx_torch` (trained), `onnx_runtime` (frozen),
                    `onnx_equal` (do both agree)
    TensorFlow      `tensorflow_process`, which speaks with `tensorflow_child` in an interpreter of its own
"""
