"""Safe readers of foreign bytes: nothing else in this package opens a file that a stranger may have made.

Where to look:

    weights        `weights` (safetensors and torch files), `checkpoints` (what lies around a state dict), `pickles`
                   with `stacks` (what one would build), `remote` (behind a URL)
    items          `images`, `arrays` (npz, IDX), `tars`
    networks       `graphs` (ONNX), `hdf` and `keras_archives`, `programs` (SavedModel)
    text           `texts` (JSON), `sheets` (CSV), `mappings` (of classes), `tokenizers`
"""
