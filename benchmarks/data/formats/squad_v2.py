"""SQuAD 2.0 (arXiv 1806.03822): the layout of SQuAD 1.1, with questions that have no answer."""

from dataclasses import replace

from benchmarks.data.formats import squad

FORMAT = replace(
    squad.FORMAT,
    title="SQuAD 2.0: the same, with questions that the paragraph does not answer",
    read=squad.read_articles,
)
