"""What a report shows in pictures, topic by topic, and what to run where one is missing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.report.plots import answers, expenses, maps
from harness.report.plots.shapes import Chart
from harness.report.sections import Section


@dataclass(frozen=True, slots=True)
class Topic:
    """Some charts of a section, under one heading."""

    name: str  # an anchor
    title: str
    charts: Callable[[Section], Iterator[Chart]]
    missing: str  # why there may be none, and what to do


TOPICS = (
    Topic(
        "maps",
        "Score by context size and depth",
        maps.maps,
        "No suite has rows by tokens and depth: run --suite passkey.",
    ),
    Topic(
        "budget",
        "Score by cached tokens",
        answers.over_budget,
        "No suite with scores has backends that keep different numbers of KV entries: run, say, "
        "--backend gist,ratio=4 --backend gist,ratio=16.",
    ),
    Topic(
        "trade-offs",
        "Score by memory and time",
        answers.over_costs,
        "No suite has both scores and costs.",
    ),
    Topic("time", "Parts of the time", expenses.times, "No row has times."),
    Topic("memory", "Parts of the memory", expenses.memory, "No row has memory peaks."),
    Topic(
        "break-even",
        "Break-even questions",
        expenses.break_even,
        "Full context and another backend must have read the same contexts.",
    ),
    Topic(
        "abstention",
        "Right, wrong, abstained",
        answers.abstentions,
        "No suite distinguishes answers from abstentions: run --suite hallucination.",
    ),
    Topic(
        "retrieval",
        "Retrieval",
        answers.retrieval,
        "No row says whether the supporting sentences were among the passages shown: run "
        "--backend rag on a suite with support sentences.",
    ),
)
