"""All definitions of figures in one mapping, collected from where the figures are computed.

Suites give theirs by entry point (`gist_bench.metrics`), a run those of its rows, and each module
of the report those that it derives.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from harness.report import breakeven, checks_table, contrasts, costs, tables
from harness.run import metrics, plugins
from harness.run.metrics import Metric


@cache
def all_metrics() -> Mapping[str, Metric]:
    """Return every definition by name."""
    own = (*costs.METRICS, *tables.METRICS, *contrasts.METRICS, *breakeven.METRICS)
    everything = (*plugins.metrics(), *metrics.METRICS, *own, *checks_table.METRICS)
    return MappingProxyType({metric.name: metric for metric in everything})
