"""Turn the rows of runs into tables, pictures and pages.

Where to start: `render` has the order of a report, `html/page` that of the page. Both are made of
`sections` (the rows of one suite under one setup), and each figure is computed in one place:

    stats, shares, significance     intervals and p-values; nothing here knows a table
    estimates, contrasts, standing  the mean of a backend, two backends, a way and full context
    costs, breakeven, capacity      time and memory
    verdict, choices                what a comparison says, and which way to choose, as values

`tables`, `cost_tables`, `checks_table`, `sweeps` and `verdict_page` make text of them, which
`format` draws; `plots` makes pictures of them.
"""
