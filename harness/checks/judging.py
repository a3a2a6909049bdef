"""What trials show: each function turns what was reported and what was seen into one check."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from gist.models.fit import kv_bytes_per_entry
from gist.models.model import LanguageModel
from harness.api import Question
from harness.checks import passes
from harness.checks.holdings import MIN_TEXT, Holdings
from harness.checks.shuffled import Check
from harness.checks.trial import Trial
from harness.report.format import count, size
from harness.run.records import Row
from harness.run.thoughts import split_thought

MIN_ARRAY_BYTES = 64  # less than a number for each word
SAME = 1e-5  # relative, of sums over the same tensors
COMPARED = ("answer", "evidence", "prompt_tokens", "context_entries", "new_tokens", "held_bytes")
ORDER = "Answers when the same questions are asked in reverse order, of the context read anew."
GOLD = "Answers when targets and supporting sentences are replaced by others."
BLIND = (
    "Answers to the same questions, and what is kept, when the context was read for a sample with "
    "other questions."
)
POISON = (
    "Answers when NaN is written, after reading, into all keys and values that were computed and "
    "are not kept."
)
GIVEN = "The texts that prepare and generate are given: the sample's context and questions."
SEEN = (
    "Keys that the last token of each prompt attends to, counted in every layer, and prompt_tokens "
    "as reported. Without a call of attention, an answer was not computed."
)
ENTRIES = (
    "prompt_tokens less context_entries: what stands for the prompt and the question, which are "
    "the same tokens for every backend."
)
SAID = "Answers that are the model's most likely tokens, step by step, as its logits had them."
SHOWN = "Passages that are reported as evidence, and the texts that the model has read."
HELD = (
    "held_bytes as reported, and the storages, arrays and pieces of the context that can be "
    "reached from what was prepared, each once; and tensors that were left elsewhere."
)
SCORED = (
    "Metrics in the rows, computed again from answer and targets; and whether a wrong answer is "
    "scored differently from a right one."
)


def unchanged(name: str, detail: str, same: int, total: int) -> Check:
    """Return a check of answers that must not change."""
    return Check(name, f"{same} of {total} answers the same", "all", same == total, detail)


def given(trials: Sequence[Trial]) -> Check:
    """Check that the backend is given the context and the questions, word for word."""
    right = sum(
        trial.seen.context == trial.sample.context
        and [text for batch in trial.seen.questions for text in batch]
        == [question.text for question in trial.sample.questions]
        for trial in trials
    )
    texts = f"{right} of {len(trials)} samples word for word"
    return Check("given texts", texts, "all", right == len(trials), GIVEN)


def seen(lm: LanguageModel, trials: Sequence[Trial]) -> Iterator[Check]:
    """Check the keys that attention sees, and how many of them stand for the context."""
    keys, reported, agrees = _worst(map(passes.keys_of, trials))
    sizes = " and ".join(count(lm.count_tokens(trial.sample.context)) for trial in trials)
    detail = f"{SEEN} Contexts of {sizes} tokens."
    yield Check("keys in attention", keys, f"{reported}, reported", agrees, detail)
    rests = [rest for trial in trials for rest in passes.rests(lm, trial)]
    if rests:
        rest, allowed = next((each for each in rests if each[0] not in each[1]), rests[-1])
        limit = " or ".join(map(count, sorted(allowed)))
        yield Check("tokens beside the context", count(rest), limit, rest in allowed, ENTRIES)


def said(lm: LanguageModel, trials: Sequence[Trial]) -> Check:
    """Check that answers are what the model's logits say."""
    right = total = 0
    for trial in trials:
        for rows, done in passes.batches(trial):
            spoken = list(map(_words, passes.said(lm, trial, done)))
            for answer in (_words(str(row.get("answer") or "")) for row in rows):
                total += 1
                same = (text for text in spoken if (answer in text if answer else not text))
                match = next(same, None)
                if match is not None:
                    spoken.remove(match)
                    right += 1
    return Check("answers from logits", f"{right} of {total}", "all", right == total, SAID)


def shown(lm: LanguageModel, trials: Sequence[Trial]) -> Check:
    """Check that the model has read the passages that are reported as evidence."""
    right = total = 0
    for trial in trials:
        for rows, done in passes.batches(trial):
            read = [_bare(text) for text in passes.read(lm, [*trial.seen.reading, *done])]
            for passage in (text for row in rows for text in _texts(row.get("evidence"))):
                total += 1
                as_read = _bare(lm.tokenizer.decode(lm.tokenizer.encode(passage)))
                right += any(as_read in text for text in read)
    return Check("evidence read", f"{right} of {total}", "all", right == total, SHOWN)


def held(lm: LanguageModel, trials: Sequence[Trial]) -> Check:
    """Check held_bytes against what can be reached."""
    measured, limit, agrees = _worst(_bytes_of(lm, trial) for trial in trials)
    return Check("held bytes", measured, limit, agrees, HELD)


def _bytes_of(lm: LanguageModel, trial: Trial) -> tuple[str, str, bool]:
    """Return the bytes that were reported and reached, those needed, and whether they agree."""
    reported = int(passes.number(trial.rows[0], "held_bytes"))
    reached = max(_counted(each, trial, evidence=True).bytes for each in trial.seen.held)
    elsewhere = trial.seen.elsewhere_bytes
    needed = reached + elsewhere
    # An index may keep more than Python can reach: then what can be reached is the least.
    exact = all(_counted(each, trial, evidence=False).is_tensors_alone for each in trial.seen.held)
    if not needed:  # what attention saw without reading it was kept somewhere
        needed, exact = _unread_bytes(lm, trial), False
    also = f", {size(elsewhere)} left elsewhere" if elsewhere else ""
    return (
        f"{size(reported)} reported, {size(reached)} reachable{also}",
        size(needed) if exact else f"{size(needed)} or more",
        reported == needed if exact else reported >= needed,
    )


def _unread_bytes(lm: LanguageModel, trial: Trial) -> int:
    """Return the bytes of the KV entries that answers had before anything was read for them."""
    firsts = [done[0] for done in trial.seen.passes if done and done[0].rows]
    before = max((first.seen_in(0)[1] - first.tokens for first in firsts), default=0.0)
    entries = max(0, round(before) - len(lm.prompt.before))
    return entries * kv_bytes_per_entry(lm.model.config, lm.model.dtype)


def _counted(held: Holdings, trial: Trial, *, evidence: bool) -> Holdings:
    """Leave out texts that are no piece of the context, and passages handed out as evidence."""
    passages = (text for row in trial.rows for text in _texts(row.get("evidence")))
    shown = {text.strip() for text in passages} if evidence else set()
    context = trial.sample.context
    texts = {
        at: text
        for at, text in held.texts.items()
        if len(text.strip()) >= MIN_TEXT and text.strip() in context and text.strip() not in shown
    }
    arrays = {at: n for at, n in held.arrays.items() if n >= MIN_ARRAY_BYTES}
    return Holdings(held.tensors, arrays, texts, held.sums)


def scored(trials: Sequence[Trial]) -> Check:
    """Check metrics against answers and targets, and that they tell right from wrong."""
    right = total = told = asked = 0
    for trial in trials:
        suite, context = trial.job.suite, trial.sample.context
        if not suite.metrics:
            continue
        for row, question in zip(trial.rows, trial.sample.questions, strict=True):
            total += 1
            right += same_metrics(trial, row, question)
            if question.targets:
                asked += 1
                good, bad = (
                    suite.score(question, answer, context)
                    for answer in (question.targets[0], "none of these words")
                )
                told += good != bad
    passed = right == total and (told > 0 or not asked)
    return Check("scores", f"{right} of {total} rows", "all", passed, SCORED)


def same_metrics(trial: Trial, row: Row, question: Question) -> bool:
    """Return whether a row has the metrics of its answer and targets."""
    suite = trial.job.suite
    answer = split_thought(str(row.get("answer") or ""))[1]
    again = suite.score(question, answer, trial.sample.context)
    stored = {name: row[name] for name in suite.metrics if row.get(name) is not None}
    return row.get("targets") == question.targets and stored == {
        name: float(value) for name, value in again.items()
    }


def same_answers(first: Trial, again: Trial) -> int:
    """Return how many questions have the same answer, from as many tokens, in both."""
    before = {row["question_id"]: row for row in first.rows}
    return sum(
        all(row.get(name) == before[row["question_id"]].get(name) for name in COMPARED)
        for row in again.rows
    )


def same_state(first: Trial, again: Trial) -> bool:
    """Return whether the same was kept of a context."""
    one, other = (trial.seen.held[0].sums for trial in (first, again))
    if [each[0] for each in one] != [each[0] for each in other]:
        return False
    pairs = zip(one, other, strict=True)
    return all(np.allclose(a[1:], b[1:], rtol=SAME, atol=SAME, equal_nan=True) for a, b in pairs)


def _worst(found: Iterable[tuple[str, str, bool]]) -> tuple[str, str, bool]:
    """Return what was measured, its limit, and whether they agree: where not, else the last."""
    known = list(found)
    return next((each for each in known if not each[2]), known[-1])


def _texts(cell: object) -> tuple[str, ...]:
    return cell if isinstance(cell, tuple) else ()


def _words(text: str) -> str:
    return " ".join(text.split())


def _bare(text: str) -> str:
    return "".join(text.split())
