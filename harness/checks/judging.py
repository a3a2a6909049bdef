"""What trials show: each function turns what was reported and what was seen into one check."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gist.models.model import LanguageModel
from gist.watch import Pass, chains
from harness.api import Question
from harness.checks.holdings import MIN_TEXT, Holdings
from harness.checks.shuffled import Check
from harness.checks.trial import Trial
from harness.report.format import count, size
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
    found = [_keys_of(trial) for trial in trials]
    wrong = next((each for each in found if not each[2]), None)
    keys, reported, _ = wrong or found[-1]
    sizes = _sizes(trials, lm)
    yield Check("keys in attention", keys, f"{reported}, reported", wrong is None, SEEN + sizes)
    known = [_rests(lm, trial) for trial in trials]
    rests = [rest for each in known for rest in each]
    if rests:
        odd = next(((rest, allowed) for rest, allowed in rests if rest not in allowed), rests[-1])
        rest, allowed = odd
        limit = " or ".join(map(count, sorted(allowed)))
        yield Check("tokens beside the context", count(rest), limit, rest in allowed, ENTRIES)


def _keys_of(trial: Trial) -> tuple[str, str, bool]:
    """Return the keys seen, those reported, and whether they agree, for the worst batch."""
    worst = ("", "", True)
    start = 0
    for batch, passes in zip(trial.seen.questions, trial.seen.passes, strict=True):
        rows = trial.rows[start : start + len(batch)]
        start += len(batch)
        prompts = sorted(_number(row, "prompt_tokens") for row in rows)
        reported = " ".join(count(n) for n in prompts)
        if not any(each.seen for each in passes):
            return "none", reported, False
        first, agrees = _agreement(rows, prompts, passes)
        worst = (" ".join(count(round(keys)) for keys in first), reported, agrees)
        if not agrees:
            break
    return worst


def _agreement(
    rows: Sequence[Any], prompts: Sequence[float], passes: Sequence[Pass]
) -> tuple[list[float], bool]:
    """Return the keys that prompts saw, and whether they are those reported.

    A layer may keep fewer keys than another. Then the mean must not be more than reported.
    """
    found = chains(passes)
    starts = [chain[0].seen_in(row) for chain in found for row in range(chain[0].rows)]
    longest = max(_number(row, "new_tokens") for row in rows)
    if len(starts) != len(rows):  # read in pieces: the last pass of all shows the whole
        most = max(each.seen_in(row)[1] for each in passes for row in range(each.rows))
        return [most], max(prompts) <= most <= max(prompts) + longest
    starts.sort(key=lambda pair: pair[1])
    agrees = all(
        mean - 0.01 <= prompt <= most + 0.01
        for (mean, most), prompt in zip(starts, prompts, strict=True)
    )
    computed = max(map(len, found)) == longest
    return [
        most if mean <= prompt <= most else mean
        for (mean, most), prompt in zip(starts, prompts, strict=True)
    ], agrees and computed


def _rests(lm: LanguageModel, trial: Trial) -> list[tuple[int, frozenset[int]]]:
    """Return the tokens beside the context, and how many there may be, of each question."""
    prompt, encode = lm.prompt, lm.tokenizer.encode
    found = []
    for row, question in zip(trial.rows, trial.sample.questions, strict=True):
        if row.get("context_entries") is None or row.get("prompt_tokens") is None:
            continue
        rest = int(_number(row, "prompt_tokens") - _number(row, "context_entries"))
        behind = len(prompt.between) + len(encode(question.text)) + len(prompt.after)
        found.append((rest, frozenset({behind, behind + len(prompt.before)})))
    return found


def said(lm: LanguageModel, trials: Sequence[Trial]) -> Check:
    """Check that answers are what the model's logits say."""
    right = total = 0
    for trial in trials:
        answers = iter(str(row.get("answer") or "") for row in trial.rows)
        for batch, passes in zip(trial.seen.questions, trial.seen.passes, strict=True):
            spoken = [
                _words(text) for chain in chains(passes) for text in _decoded(lm, trial, chain)
            ]
            for _ in batch:
                answer = _words(next(answers))
                total += 1
                match = next((text for text in spoken if _says(text, answer)), None)
                if match is not None:
                    spoken.remove(match)
                    right += 1
    return Check("answers from logits", f"{right} of {total}", "all", right == total, SAID)


def _says(spoken: str, answer: str) -> bool:
    return answer in spoken if answer else not spoken


def _decoded(lm: LanguageModel, trial: Trial, chain: Sequence[Pass]) -> Iterator[str]:
    """Yield what each row of a batch says, read from the logits."""
    least, most = trial.sample.min_new_tokens, trial.sample.max_new_tokens
    for row in range(chain[0].rows):
        ids: list[int] = []
        for step, now in enumerate(chain[:most]):
            if row >= len(now.favoured):
                break
            ids.append(now.favoured[row][step < least])
            if ids[-1] in lm.end_ids and step >= least:
                break
        yield lm.tokenizer.decode(ids)


def shown(lm: LanguageModel, trials: Sequence[Trial]) -> Check:
    """Check that the model has read the passages that are reported as evidence."""
    right = total = 0
    for trial in trials:
        rows = iter(trial.rows)
        for batch, passes in zip(trial.seen.questions, trial.seen.passes, strict=True):
            read = [_bare(text) for text in _read(lm, [*trial.seen.reading, *passes])]
            for row in (next(rows) for _ in batch):
                for passage in _texts(row.get("evidence")):
                    total += 1
                    as_read = _bare(lm.tokenizer.decode(lm.tokenizer.encode(passage)))
                    right += any(as_read in text for text in read)
    return Check("evidence read", f"{right} of {total}", "all", right == total, SHOWN)


def _read(lm: LanguageModel, passes: Sequence[Pass]) -> Iterator[str]:
    """Yield what was read in each row of each pass; ids beyond the vocabulary are gists."""
    vocabulary = lm.model.config.get_text_config().vocab_size
    for each in passes:
        for row in each.ids:
            yield lm.tokenizer.decode([token for token in row if token < vocabulary])


def _bare(text: str) -> str:
    return "".join(text.split())


def held(lm: LanguageModel, trials: Sequence[Trial]) -> Check:
    """Check held_bytes against what can be reached."""
    found = [_bytes_of(lm, trial) for trial in trials]
    wrong = next((each for each in found if not _agrees(*each)), None)
    reported, reached, elsewhere, needed, exact = wrong or found[-1]
    also = f", {size(elsewhere)} left elsewhere" if elsewhere else ""
    limit = size(needed) if exact else f"{size(needed)} or more"
    measured = f"{size(reported)} reported, {size(reached)} reachable{also}"
    return Check("held bytes", measured, limit, wrong is None, HELD)


def _unread_bytes(lm: LanguageModel, trial: Trial) -> int:
    """Return the bytes of the KV entries that answers had before anything was read for them."""
    config = lm.model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    firsts = [passes[0] for passes in trial.seen.passes if passes and passes[0].rows]
    before = max((first.seen_in(0)[1] - first.tokens for first in firsts), default=0.0)
    entries = max(0, round(before) - len(lm.prompt.before))
    return int(entries * 2 * config.num_hidden_layers * heads * size * lm.model.dtype.itemsize)


def _agrees(reported: int, _reached: int, _elsewhere: int, needed: int, exact: bool) -> bool:
    return reported == needed if exact else reported >= needed


def _bytes_of(lm: LanguageModel, trial: Trial) -> tuple[int, int, int, int, bool]:
    """Return what was reported, reached and elsewhere; what is needed, and whether exactly."""
    reported = int(_number(trial.rows[0], "held_bytes"))
    held = [_counted(each, trial, evidence=True) for each in trial.seen.held]
    most = max(held, key=lambda each: each.bytes)
    needed = most.bytes + trial.seen.elsewhere_bytes
    # An index may keep more than Python can reach: then what can be reached is the least.
    exact = all(_counted(each, trial, evidence=False).is_tensors_alone for each in trial.seen.held)
    if not needed:  # what attention saw without reading it was kept somewhere
        needed, exact = _unread_bytes(lm, trial), False
    return reported, most.bytes, trial.seen.elsewhere_bytes, needed, exact


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


def same_metrics(trial: Trial, row: Any, question: Question) -> bool:
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


def _sizes(trials: Sequence[Trial], lm: LanguageModel) -> str:
    tokens = [len(lm.tokenizer.encode(trial.sample.context)) for trial in trials]
    return f" Contexts of {' and '.join(map(count, tokens))} tokens."


def _number(row: Any, name: str) -> float:
    value = row.get(name)
    return float(value) if value is not None else float("nan")


def _texts(cell: object) -> tuple[str, ...]:
    return cell if isinstance(cell, tuple) else ()


def _words(text: str) -> str:
    return " ".join(text.split())
