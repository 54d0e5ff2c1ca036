"""The shelf of origins: one file per place a pretrained model comes from.

A file's name is its scheme, `PARAMETERS` are the options that a spec may have after `?`. It declares three functions.

- `matches(spec)` says whether the spec is one of its own.
- `files(spec, root)` names the files whose content makes the source what it is; the card is keyed by them.
- `build(spec, root)` gives the network with its weights and how it wants the canvas prepared (`source.spec.Built`).
"""
