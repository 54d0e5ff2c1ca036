"""The metric shelf; without its convention a resample of a metric would need a loop over items.

A file declares `TRAITS` (`direction`, `unit`, `low`, `high`, `takes`, and `kinds`: for which kinds of task it holds,
names with commas, multiclass where nothing is said). A metric that is a mean over items defines one function, so that
differences of it are means of item differences:

- `per_item(targets [N], probs [N, C]) -> [N]`, each item's value.

Another one says what an item adds, and what becomes of it:

- `columns(targets, probs) -> [N, q]` says what one item adds; with `per_item` instead, that is its value and 1.
- `finish(sums [..., q]) -> [...]` turns the columns *summed over items* into the metric.

So the metric of any resample with item counts `w [R, N]` is `finish(w @ columns)`, and the plain value is
`finish(columns.sum(axis=0))`. Nothing is divided in `columns`: whatever `finish` needs to divide by (the number of
items) is a column too. A metric that does not exist on a resample (no item at all) is NaN there.

Targets are class numbers [N] (multiclass), 0 and 1 [N, C] (multilabel) or numbers [N, T] (regression); `probs` are
probabilities, or a regression's predicted numbers. A metric of ranks is no function of sums: it declares
`form: weighted` and defines `weighted(targets, probs, weights [R, N]) -> [R]`, the metric of R resamples by how often
each item was drawn.
"""
