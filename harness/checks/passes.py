"""What the model's forward passes show of a trial: keys seen, texts read, and answers said."""

from collections.abc import Iterator, Sequence
from itertools import islice

from gist.models.model import LanguageModel
from gist.watch import Pass, chains
from harness.checks.trial import Trial
from harness.report.format import count
from harness.run.records import Row


def batches(trial: Trial) -> Iterator[tuple[list[Row], list[Pass]]]:
    """Yield the rows of each batch of questions, and the passes in which it was answered."""
    rows = iter(trial.rows)
    for batch, passes in zip(trial.seen.questions, trial.seen.passes, strict=True):
        yield list(islice(rows, len(batch))), passes


def keys_of(trial: Trial) -> tuple[str, str, bool]:
    """Return the keys seen, those reported, and whether they agree, for the worst batch."""
    worst = ("", "", True)
    for rows, passes in batches(trial):
        prompts = sorted(number(row, "prompt_tokens") for row in rows)
        reported = " ".join(count(n) for n in prompts)
        if not any(each.seen for each in passes):
            return "none", reported, False
        first, agrees = _agreement(rows, prompts, passes)
        worst = (" ".join(count(round(keys)) for keys in first), reported, agrees)
        if not agrees:
            break
    return worst


def _agreement(
    rows: Sequence[Row], prompts: Sequence[float], passes: Sequence[Pass]
) -> tuple[list[float], bool]:
    """Return the keys that prompts saw, and whether they are those reported.

    A layer may keep fewer keys than another. Then the mean must not be more than reported.
    """
    found = chains(passes)
    starts = [chain[0].seen_in(row) for chain in found for row in range(chain[0].rows)]
    longest = max(number(row, "new_tokens") for row in rows)
    if len(starts) != len(rows):  # read in pieces: the last pass of all shows the whole
        most = max(each.seen_in(row)[1] for each in passes for row in range(each.rows))
        return [most], max(prompts) <= most <= max(prompts) + longest
    starts.sort(key=lambda pair: pair[1])
    pairs = [(mean, most, prompt) for (mean, most), prompt in zip(starts, prompts, strict=True)]
    agrees = all(mean - 0.01 <= prompt <= most + 0.01 for mean, most, prompt in pairs)
    computed = max(map(len, found)) == longest
    keys = [most if mean <= prompt <= most else mean for mean, most, prompt in pairs]
    return keys, agrees and computed


def rests(lm: LanguageModel, trial: Trial) -> Iterator[tuple[int, frozenset[int]]]:
    """Yield the tokens beside the context, and how many there may be, of each question."""
    prompt = lm.prompt
    for row, question in zip(trial.rows, trial.sample.questions, strict=True):
        if row.get("context_entries") is None or row.get("prompt_tokens") is None:
            continue
        rest = int(number(row, "prompt_tokens") - number(row, "context_entries"))
        behind = len(prompt.between) + lm.count_tokens(question.text) + len(prompt.after)
        yield rest, frozenset({behind, behind + len(prompt.before)})


def said(lm: LanguageModel, trial: Trial, passes: Sequence[Pass]) -> Iterator[str]:
    """Yield what each row of the batches says in these passes, read from the logits."""
    least, most = trial.sample.min_new_tokens, trial.sample.max_new_tokens
    for chain in chains(passes):
        for row in range(chain[0].rows):
            ids: list[int] = []
            for step, now in enumerate(chain[:most]):
                if row >= len(now.favoured):
                    break
                ids.append(now.favoured[row][step < least])
                if ids[-1] in lm.end_ids and step >= least:
                    break
            yield lm.tokenizer.decode(ids)


def read(lm: LanguageModel, passes: Sequence[Pass]) -> Iterator[str]:
    """Yield what was read in each row of each pass; ids beyond the vocabulary are gists."""
    vocabulary = lm.model.config.get_text_config().vocab_size
    for each in passes:
        for row in each.ids:
            yield lm.tokenizer.decode([token for token in row if token < vocabulary])


def number(row: Row, name: str) -> float:
    """Return a cell as a number; NaN where it is not known."""
    value = row.get(name)
    assert not isinstance(value, tuple), "no number but texts"
    return float("nan") if value is None else float(value)
