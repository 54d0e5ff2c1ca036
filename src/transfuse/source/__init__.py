"""Pretrained models behind one door.

Where to look:

    the door        `spec` (what a user writes), `open` (from a spec to a card, from a card to a source), `base` (the
                    Source), `door`, `prepare`, `taps`, `layout`, `screen`
    origins         `adapters/` (the shelf), with `building`, `hub` and `foreign` for several of them; a
                    framework's own ways in `frameworks/`; `static_tables`, `table`, `text_models`, `tokens`
    cuts            `trace`, `hooked`, `sections`
    weights         `weights` (readers), `ranged`, `adapted`
    made again      `blank` (without what it learned), `shrunk`, `carried`
    hidden units    `hidden_units/` (which axes share an order)
"""
