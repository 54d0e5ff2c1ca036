"""Pretrained models behind one door.

Where to look:

    the door        `spec` (what a user writes), `open` (from a spec to a card, from a card to a source), `base` (the
                    Source), `door`, `prepare`, `taps`, `layout`, `screen`
    origins         `adapters/` (the shelf), with `building`, `hub` and `foreign` for several of them; a
                    framework's own ways in `hf_models`, `hf_texts`, `keras_backend`, `keras_files`, `keras_network`,
                    `onnx_graph`, `onnx_torch`, `onnx_equal`, `onnx_runtime`, `onnx_source`, `tensorflow_process`,
                    `tensorflow_child`, `hf_zero_shot`, `static_tables`, `table`, `text_models`, `tokens`
    cuts            `trace`, `hooked`, `sections`
    weights         `weights` (readers), `ranged`, `adapted`
    made again      `blank` (without what it learned), `shrunk`, `carried`
    hidden units    `groups` (which axes share an order), found by `follow`, `follow_layers` and `follow_heads` with
                    `follower`, `unit_labels` and `units`
"""
