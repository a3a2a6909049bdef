"""What every figure means: its unit, which way is better, and where the definition comes from.

The one list of them. `gist-bench list --metrics` prints it, `compare` takes the directions from it,
and a test finds the figures of suites and tables that it lacks. Nothing is computed here, and a
suite of somebody else's may have metrics that are not in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Better = Literal["higher", "lower", "neither"]
Kind = Literal["answer", "cost", "comparison"]

SQUAD = "SQuAD, arXiv 1606.05250 and 1806.03822, official evaluate scripts"
LOST = "Lost in the Middle, arXiv 2307.03172, official best_subspan_em"
RULER = "RULER, arXiv 2404.06654, official evaluate script"
HERE = "this project"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure, in a column of `records.csv` or derived from such columns."""

    name: str  # as a column, or as `compare --fail-on` calls it
    kind: Kind
    unit: str  # "0 to 1", "s", "bytes", ...
    better: Better
    meaning: str
    source: str = HERE
    headings: tuple[str, ...] = ()  # what tables call it, if not by its name
    column: bool = True  # stored in records.csv; else derived from what is
    judges: bool = False  # 1 says that the answer is right
    exact: bool = False  # the same in every run on the same rows: nothing to be estimated

    @property
    def is_time(self) -> bool:
        """Whether it depends on the machine's speed."""
        return self.unit in ("s", "tokens/s")


def _answer(
    name: str, meaning: str, *, better: Better = "higher", source: str = HERE, judges: bool = False
) -> Metric:
    return Metric(name, "answer", "0 to 1", better, meaning, source, judges=judges)


def _derived(
    name: str,
    kind: Kind,
    unit: str,
    better: Better,
    meaning: str,
    *,
    source: str = HERE,
    headings: tuple[str, ...] = (),
) -> Metric:
    return Metric(name, kind, unit, better, meaning, source, headings, column=False)


_ANSWERS = (
    _answer(
        "exact_match",
        "1 if the answer is one of the targets: lower case, no punctuation, no articles, single "
        "spaces, in this order. Without targets, 1 for an abstention. In passkey: nothing but the "
        "numbers, in any order.",
        source=SQUAD,
        judges=True,
    ),
    _answer(
        "f1",
        "Best over the targets of 2PR/(P+R) on their words, normalised as for exact_match. Without "
        "targets, 1 for an abstention; the sentinel scores 0 where there is a target. In HotpotQA "
        "a yes or no is right or wrong as a whole.",
        source=f"{SQUAD}; HotpotQA, arXiv 1809.09600",
    ),
    _answer(
        "contains",
        "1 if the answer holds all words of a target in a row, whole words only; in passkey the "
        "share of the numbers that it holds.",
        source=f"{RULER} (string_match_all there matches parts of words too)",
    ),
    _answer(
        "subspan_match",
        "1 if any target is part of the answer as text, both normalised as for exact_match.",
        source="Lost in the Middle, arXiv 2307.03172, best_subspan_em",
    ),
    _answer(
        "string_match_all",
        "Share of the references that occur in the answer, as text, whatever the case: the mean "
        "over references.",
        source=RULER,
    ),
    _answer(
        "string_match_part",
        "1 if any reference occurs in the answer, as text, whatever the case: the most over "
        "references.",
        source=RULER,
    ),
    _answer(
        "accuracy",
        "1 if the answer holds a target (as contains), or abstains where there is none. In "
        "LongEval: if the last number of the answer is the right one.",
        judges=True,
    ),
    _answer(
        "abstained",
        "Unanswerable questions only: 1 if the answer is the sentinel, a refusal in words, or "
        "empty. To be read beside false_refusal.",
        source="this project, after SQuAD 2.0's no-answer questions, arXiv 1806.03822",
    ),
    _answer(
        "hallucinated",
        "Unanswerable questions only: 1 if something is answered, 1 - abstained.",
        better="lower",
    ),
    _answer(
        "false_refusal",
        "Answerable questions only: 1 if the answer abstains and does not hold a target.",
        better="lower",
    ),
    _answer(
        "unsupported",
        "1 if the answer holds a number or a capitalised name that is neither in the context nor "
        "in the question nor in a target; 0 for an abstention.",
        better="lower",
    ),
    _answer(
        "evidence_recall",
        "Share of a question's proving sentences that are whole in the passages which the model "
        "was shown: recall@k, k being the passages of the backend. Empty where all was shown.",
        source="recall@k of information retrieval, over support sentences",
    ),
)

_MEASURED = (
    Metric(
        "prepare_s",
        "cost",
        "s",
        "lower",
        "Time to read one context: prefill, compress, or chunk and index. Once per sample.",
        headings=("prepare",),
    ),
    Metric(
        "generate_s",
        "cost",
        "s",
        "lower",
        "Time to answer one batch of questions about a context that was read. Once per batch.",
    ),
    Metric(
        "prepare_peak_bytes",
        "cost",
        "bytes",
        "lower",
        "Most memory in use while the context was read, weights included; memory_kind says what "
        "was counted.",
    ),
    Metric(
        "generate_peak_bytes",
        "cost",
        "bytes",
        "lower",
        "Most memory in use while questions were answered, weights included.",
    ),
    Metric(
        "prepare_reserved_bytes",
        "cost",
        "bytes",
        "lower",
        "Most that CUDA's caching allocator held while the context was read.",
    ),
    Metric(
        "generate_reserved_bytes",
        "cost",
        "bytes",
        "lower",
        "Most that CUDA's caching allocator held while questions were answered.",
    ),
    Metric(
        "baseline_bytes",
        "cost",
        "bytes",
        "lower",
        "Memory in use when a sample's prepare phase began.",
    ),
    Metric(
        "held_bytes",
        "cost",
        "bytes",
        "lower",
        "Exact bytes that the prepared contexts keep: KV entries, or vectors and texts. What "
        "ChromaDB keeps beside its vectors is not counted.",
        headings=("held",),
        exact=True,
    ),
    Metric(
        "context_tokens",
        "cost",
        "tokens",
        "neither",
        "Tokens of the context, by the tested model's tokenizer.",
        exact=True,
    ),
    Metric(
        "context_entries",
        "cost",
        "KV entries",
        "lower",
        "KV entries that stand for the context when the question is answered.",
        headings=("entries kept",),
        exact=True,
    ),
    Metric(
        "prompt_tokens",
        "cost",
        "tokens",
        "lower",
        "KV entries in front of the first new token, cached ones included.",
        exact=True,
    ),
    Metric("new_tokens", "cost", "tokens", "neither", "Tokens of the answer."),
)

_COSTS = (
    _derived(
        "first_token_s",
        "cost",
        "s",
        "lower",
        "Time to first token: of a request for one token about a context that was read.",
        headings=("first token",),
    ),
    _derived(
        "decode_tokens_per_s",
        "cost",
        "tokens/s",
        "higher",
        "New tokens after the first over the seconds that they take: the long request about a "
        "context minus the request for one token. Of one sequence.",
        headings=("tokens/s",),
    ),
    _derived(
        "overall_tokens_per_s",
        "cost",
        "tokens/s",
        "higher",
        "New tokens over the seconds of reading the context and answering once.",
        headings=("overall",),
    ),
    _derived(
        "question_s",
        "cost",
        "s",
        "lower",
        "generate_s per question. In tables with a share of prepare_s: of a context that is asked "
        "1, 10 or 100 times.",
        headings=("asked 1x", "asked 10x", "asked 100x"),
    ),
    _derived(
        "peak_bytes",
        "cost",
        "bytes",
        "lower",
        "The higher of prepare_peak_bytes and generate_peak_bytes.",
        headings=("peak",),
    ),
    _derived(
        "compression",
        "cost",
        "ratio",
        "higher",
        "Context tokens over the KV entries that stand for them, sums over questions.",
    ),
    _derived(
        "errors",
        "answer",
        "0 to 1",
        "lower",
        "Share of questions that ended in an error (context_too_long, out_of_memory); tables give "
        "their number.",
    ),
)

_COMPARISONS = (
    _derived(
        "gap_recovered",
        "comparison",
        "ratio",
        "higher",
        "(backend - closed_book) / (full - closed_book) on the headline metric; none where full "
        "and closed_book cannot be told apart.",
        headings=("recovered",),
    ),
    _derived(
        "difference",
        "comparison",
        "0 to 1",
        "neither",
        "Mean over questions that both arms answered of one arm's metric minus the other's; the "
        "interval resamples contexts.",
        source="paired differences with clustered errors, arXiv 2411.00640",
    ),
    _derived(
        "p",
        "comparison",
        "0 to 1",
        "neither",
        "How often arms that are alike would differ so much: McNemar's exact test where every "
        "context has one yes-or-no question, else signs flipped over contexts.",
        source="scipy binomtest and permutation_test",
        headings=("test", "p"),
    ),
    _derived(
        "p_holm",
        "comparison",
        "0 to 1",
        "neither",
        "p adjusted for the number of pairs in the table.",
        source="Holm 1979, Scandinavian Journal of Statistics 6",
        headings=("Holm",),
    ),
    _derived(
        "detectable",
        "comparison",
        "0 to 1",
        "lower",
        "Minimum detectable difference: the true one that as many contexts, as spread, show at a "
        "level of 5 % in 80 of 100 runs.",
    ),
    _derived(
        "given_hit",
        "comparison",
        "0 to 1",
        "neither",
        "The headline metric over questions with an evidence_recall of 1, and over those below.",
        headings=("given a hit", "given a miss"),
    ),
    _derived(
        "break_even",
        "comparison",
        "questions",
        "lower",
        "The fewest questions about one context from which on a backend has taken less time than "
        "another, reading included.",
        headings=("pays from questions",),
    ),
    _derived(
        "proof",
        "comparison",
        "as named",
        "neither",
        "What was measured, what it may be, and whether that holds, for a property without which "
        "the figures of compressed contexts could not be believed.",
        headings=("measured", "limit", "verdict"),
    ),
    _derived(
        "n",
        "comparison",
        "count",
        "neither",
        "Questions, and contexts, behind a figure.",
        headings=("n", "contexts"),
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for metric in (*_ANSWERS, *_MEASURED, *_COSTS, *_COMPARISONS)}
)
"""All of them by name, answers first, then costs, then comparisons."""
