"""The tables of a sweep: seeds beside each other, and models beside each other.

Every other table pools the seeds of a setup: their contexts are different ones. Models are never
pooled; each has its own sections.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from harness.report import format as printing
from harness.report.estimates import estimates
from harness.report.format import Table
from harness.report.sections import Section, backends_of, scored
from harness.report.tables import side_by_side
from harness.run.headline import OF_SENTENCES

SEEDS = (
    "SD between seeds: the standard deviation of the seeds' means, each over its own contexts. The "
    "intervals of other tables are over the contexts of all seeds together.",
)


def seed_tables(section: Section) -> Iterator[Table]:
    """Yield the headline metric of each seed (columns), with mean and spread, if there are two."""
    main = section.metrics[0]
    if len({*section.rows.constant("seed")} - {""}) < 2:
        return
    means: dict[str, dict[str, float]] = {}  # of backends, of seeds
    for backend in section.backends:
        known = section.counted.of(backend).having(main)[[main, "seed"]]
        for seed, values in known[known["seed"] != ""].groupby("seed")[main]:
            means.setdefault(backend, {})[str(seed)] = float(values.mean())
    found = {seed for of_backend in means.values() for seed in of_backend}
    seeds = sorted(found, key=lambda seed: (len(seed), seed))
    if len(seeds) < 2:
        return
    rows = tuple(
        (
            backend,
            *(printing.share(means[backend].get(seed)) for seed in seeds),
            printing.share(fmean(means[backend].values())),
            printing.share(stdev(means[backend].values()) if len(means[backend]) > 1 else None),
        )
        for backend in section.backends
        if backend in means
    )
    header = ("backend", *(f"seed {seed}" for seed in seeds), "mean", "SD between seeds")
    yield Table(f"{main} by seed", header, rows, legend=SEEDS)


def model_tables(sections: Sequence[Section]) -> Iterator[Table]:
    """Yield one table per suite that several models (or setups) ran: a column for each."""
    of_suites: dict[str, list[Section]] = {}
    for section in scored(sections):
        of_suites.setdefault(section.suite, []).append(section)
    for suite, own in of_suites.items():
        main = _shared_headline(own)
        if len(own) < 2 or main is None:
            continue
        columns = ((section.setup, estimates(section.counted, main)) for section in own)
        notes = dict.fromkeys(section.headline_note for section in own if section.headline_note)
        yield side_by_side(f"{suite}: {main} by model", backends_of(own), columns, list(notes))


def _shared_headline(sections: Sequence[Section]) -> str | None:
    """Return a metric that all sections have: a headline of one of them if possible."""
    headlines = [section.metrics[0] for section in sections]
    # A model that answers in sentences cannot be compared by whole answers, others by either.
    ranked = sorted([*headlines, *sections[0].metrics], key=lambda name: name != OF_SENTENCES)
    wanted = ranked if OF_SENTENCES in headlines else [*headlines, *sections[0].metrics]
    everywhere = (m for m in wanted if all(m in section.metrics for section in sections))
    return next(everywhere, None)
