"""What the figures of a row mean: those that every run records, whatever its suite.

Suites define their own metrics, and the report defines what it derives, each beside the code that
computes it. `harness.report.metrics` collects all of them.
"""

from functools import partial

from harness.api import Metric

__all__ = ["METRICS", "Metric"]

JUDGED = "judged"  # the column of a judge's verdicts
BERT_SCORE = "bert_score"  # of runs that were rescored with --bert-score
_cost = partial(Metric, better="lower", kind="cost")

METRICS = (
    Metric(
        "evidence_recall",
        "Fraction of a question's supporting sentences that are whole in the passages shown to the "
        "model: recall@k, k being the passages of the backend. Empty where all was shown.",
        source="recall@k of information retrieval, over support sentences",
    ),
    Metric(
        JUDGED,
        "1 if a judge model says that the answer means the same as an accepted one, or that it "
        "says the text does not tell where there is none. Of runs that were rescored with --judge; "
        "never the headline unless --headline names it.",
        source="LLM as a judge with a reference answer, after arXiv 2306.05685",
    ),
    Metric(
        BERT_SCORE,
        "BERTScore's precision, the best over targets: how alike a model's embedding of each token "
        "of the answer is to the most alike one of the target, on average, as a cosine. Of runs "
        "that were rescored with --bert-score.",
        source="BERTScore, arXiv 1904.09675; LooGLE, arXiv 2311.04939 (get_bertscore)",
    ),
    _cost(
        "prepare_s",
        "Time to read one context: prefill, compress, or chunk and index. Once per sample.",
        "s",
        headings=("prepare",),
    ),
    _cost(
        "generate_s",
        "Time to answer one batch of questions about a context that was read. Once per batch.",
        "s",
    ),
    _cost(
        "prepare_waited_s",
        "Of prepare_s, the time in which other work had the processor that this needed (Linux).",
        "s",
    ),
    _cost("generate_waited_s", "The same of generate_s.", "s"),
    _cost(
        "prepare_peak_bytes",
        "Peak memory while the context was read, weights included; memory_kind says what was "
        "counted.",
        "bytes",
    ),
    _cost(
        "generate_peak_bytes",
        "Peak memory while questions were answered, weights included.",
        "bytes",
    ),
    _cost(
        "prepare_reserved_bytes",
        "Peak of what CUDA's caching allocator held while the context was read.",
        "bytes",
    ),
    _cost(
        "generate_reserved_bytes",
        "Peak of what CUDA's caching allocator held while questions were answered.",
        "bytes",
    ),
    _cost("baseline_bytes", "Memory in use when a sample's prepare phase began.", "bytes"),
    _cost(
        "held_bytes",
        "Exact bytes that the prepared contexts keep: KV entries, or vectors and texts. What "
        "ChromaDB keeps beside its vectors is not counted.",
        "bytes",
        headings=("held", "memory"),
        is_exact=True,
    ),
    _cost(
        "context_tokens",
        "Tokens of the context, by the tested model's tokenizer.",
        "tokens",
        better="neither",
        is_exact=True,
    ),
    _cost(
        "context_entries",
        "Cached tokens: KV entries that stand for the context when the question is answered.",
        "KV entries",
        headings=("cached tokens",),
        is_exact=True,
    ),
    _cost(
        "prompt_tokens",
        "KV entries in front of the first new token, cached ones included.",
        "tokens",
        is_exact=True,
    ),
    _cost("new_tokens", "Tokens of the answer.", "tokens", better="neither"),
    Metric(
        "cut",
        "1 if the answer had max_new_tokens tokens and had not ended; the notes under a table give "
        "the number.",
        better="lower",
    ),
    _cost(
        "answer_words",
        "Words of the answer as it was scored: long answers hold a target more easily.",
        "words",
        better="neither",
    ),
    _cost(
        "thought_words",
        "Words between <think> and </think> in front of the answer. They are not scored, and the "
        "answer is stored with them.",
        "words",
        better="neither",
    ),
)
