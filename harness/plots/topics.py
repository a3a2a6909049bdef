"""What a report shows in pictures, topic by topic, and what to run where one is missing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.plots import answers, expenses, maps
from harness.plots.shapes import Chart
from harness.tables import Section


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
        "Where in a long context",
        maps.maps,
        "No suite has rows by tokens and depth: run --suite passkey.",
    ),
    Topic(
        "budget",
        "Quality over budget",
        answers.over_budget,
        "No suite with scores has arms that keep different numbers of entries: run, say, "
        "--backend gist,ratio=4 --backend gist,ratio=16.",
    ),
    Topic(
        "trade-offs",
        "Quality over memory and time",
        answers.over_costs,
        "No suite has both scores and costs.",
    ),
    Topic("time", "Where the time goes", expenses.times, "No row has times."),
    Topic("memory", "Where the memory goes", expenses.memory, "No row has memory peaks."),
    Topic(
        "break-even",
        "From how many questions on it pays",
        expenses.break_even,
        "No two backends that read the same contexts, full among them.",
    ),
    Topic(
        "abstention",
        "Right, wrong, abstained",
        answers.abstentions,
        "No suite tells answers from abstentions: run --suite hallucination.",
    ),
    Topic(
        "retrieval",
        "What was retrieved",
        answers.retrieval,
        "No row knows whether the proving sentences were among the passages shown: run --backend "
        "rag on a suite with support sentences.",
    ),
)
