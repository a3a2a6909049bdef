"""What the option `data` names: a file in a known layout, as samples.

`data=squad:FILE` names a layout of `benchmarks.data.formats`, `data=hub:NAME` a data set of the
Hugging Face hub, `data=loogle:hub:NAME` one in such a layout. A plain path is a person's own JSONL,
as `benchmarks.data.datafile` describes it, or a CSV, TSV or Parquet file with a row per question.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from benchmarks.data import datafile, formats, hub
from benchmarks.data.distractors import Distractors
from benchmarks.data.formats import Entry, Format
from harness.api import Sample, Tokenizer
from harness.errors import TokenizerUnknown, UserError

SPARE_TOKENS = 24  # for an answer in a whole sentence, beside a long target
_PREFIXED = re.compile(r"([A-Za-z]\w+):(.*)", re.DOTALL)  # C:\file is a path


@dataclass(frozen=True)
class Dataset:
    """A data set that was read and checked."""

    format: Format
    entries: Sequence[Entry]

    @classmethod
    def open(cls, data: str, split: str = "test", columns: hub.Columns = hub.COLUMNS) -> Self:
        """Read what `data` names; `split` and `columns` are those of a data set of the hub.

        Raises:
            UserError: the prefix is unknown, or the file is not in its layout.
        """
        parts = _PREFIXED.fullmatch(data)
        if parts and parts[1] == hub.PREFIX:
            return cls(hub.FORMAT, hub.read(parts[2], split, columns))
        if not (parts and parts[1] in formats.names()) and Path(data).suffix.lower() in hub.FILES:
            return cls(hub.FORMAT, hub.read(data, split, columns))
        if columns != hub.COLUMNS:
            raise UserError(
                "context, question and answers name columns of a data set of the hub, "
                f"and data={data} is none. Leave them out, or give data={hub.PREFIX}:NAME."
            )
        if parts and parts[1] in formats.names():
            kind, path = formats.load(parts[1]), Path(parts[2]).expanduser()
            if parts[2].startswith(f"{hub.PREFIX}:"):
                return cls(kind, hub.read_as(kind, parts[2].partition(":")[2], split))
        else:
            kind, path = datafile.FORMAT, Path(data).expanduser()
            if parts and not path.exists():
                raise UserError(
                    f"unknown prefix {parts[1]!r} in data={data}. "
                    f"Prefixes: {', '.join([*formats.names(), hub.PREFIX])}; "
                    "a path without one is JSONL of your own."
                )
        return cls(kind, kind.read(path))

    def chosen(self, *, articles: Sequence[str], without: Sequence[str]) -> Self:
        """Return the entries of some documents, by their titles.

        Raises:
            UserError: a title that no document has, or none is left.
        """
        titles = {paragraph.title for entry in self.entries for paragraph in entry.paragraphs}
        for name in (*articles, *without):
            if name not in titles:
                raise UserError(f"the data have no document with the title {name!r}.")
        wanted = (set(articles) or titles) - set(without)
        entries = [e for e in self.entries if all(p.title in wanted for p in e.paragraphs)]
        if not entries:
            raise UserError("articles and without leave no document of the data.")
        return replace(self, entries=entries) if articles or without else self

    def slice_names(self, *, filled: bool) -> tuple[str, ...]:
        """Return the columns that the samples may fill."""
        single = filled and all(len(entry.paragraphs) == 1 for entry in self.entries)
        return (*self.format.slice_names, *(["depth"] if single else []))

    def metrics(self) -> tuple[str, ...]:
        """Return the metrics of the layout that some question here has, in its order.

        Raises:
            UserError: a question is scored with a package that is not installed.
        """
        found: set[str] = set()
        for question in (each for entry in self.entries for each in entry.questions):
            found |= {*self.format.score(question, "a")}
        return tuple(name for name in self.format.metrics if name in found)

    def samples(
        self,
        tokenizer: Tokenizer,
        seed: int,
        *,
        shuffle: bool = False,
        filler_tokens: int | None = None,
        max_new_tokens: int | None = None,
    ) -> Iterator[Sample]:
        """Yield one sample per context, in the order of the file or one drawn from the seed.

        Without `max_new_tokens`, the limit is that of an entry's task, or the data set's, which is
        raised where its targets need more.
        """
        names = self.slice_names(filled=filler_tokens is not None)
        distractors = None
        if filler_tokens is not None:
            distractors = Distractors(self.entries, self.format.separator, tokenizer)
        limit, notice = max_new_tokens, ""
        if limit is None:
            limit = longest = self.format.max_new_tokens
            needed = self._target_tokens(tokenizer, over=longest)
            if needed > longest:
                limit = needed + SPARE_TOKENS
                notice = (
                    f"accepted answers have up to {needed} tokens, so max_new_tokens is {limit}, "
                    f"not {longest}"
                )
        order = list(self.entries)
        if shuffle:
            random.Random(f"{seed}/order").shuffle(order)
        for entry in order:
            context, slices = self.format.separator.join(p.text for p in entry.paragraphs), {}
            if distractors is not None and filler_tokens is not None:
                context, depth = distractors.fill(entry, filler_tokens, seed)
                slices = {"depth": depth} if "depth" in names else {}
            yield Sample(
                entry.id,
                context,
                entry.questions,
                max_new_tokens or entry.max_new_tokens or limit,
                slices=slices,
                notice=entry.notice or ("" if entry.max_new_tokens else notice),
            )

    def _target_tokens(self, tokenizer: Tokenizer, *, over: int) -> int:
        """Return how many tokens hold a target of all but 1 in 100 questions, if over `over`.

        One long answer in ten thousand is no reason to let a model ramble in all of them. Where
        nobody knows the tokenizer, it is the bytes: no token is shorter than one.
        """

        def size(target: str) -> int:
            try:
                return len(tokenizer.encode(target))
            except TokenizerUnknown:
                return len(target.encode())

        unlimited = (entry for entry in self.entries if not entry.max_new_tokens)
        targets = [min(q.targets, key=len) for e in unlimited for q in e.questions if q.targets]
        # Most targets are so short that they need not be encoded.
        sizes = sorted(size(target) if len(target.encode()) > over else 0 for target in targets)
        return sizes[len(sizes) * 99 // 100] if sizes else 0
