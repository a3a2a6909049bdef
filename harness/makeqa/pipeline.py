"""From contexts to rows: propose, check, filter, write; what is finished is not done again."""

import hashlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from harness.errors import UserError
from harness.makeqa.checks import check, drop_known
from harness.makeqa.cutting import Context
from harness.makeqa.journal import Finished, Journal
from harness.makeqa.proposals import KINDS, ClosedBook, Proposal, Proposals, Proposer
from harness.makeqa.readers import Document
from harness.served.messages import NoReply

SILENT_IN_A_ROW = 3  # contexts without a reply after which a teacher is given up


@dataclass
class Totals:
    """The result of all contexts."""

    kept: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    # part -> kind -> questions
    contexts: Counter[str] = field(default_factory=Counter)  # part -> contexts with questions
    dropped: Counter[str] = field(default_factory=Counter)  # reason -> questions
    done: int = 0  # contexts
    bare: int = 0  # those of them without a question left
    silent: int = 0  # contexts that the teacher did not reply to; not done

    def add(self, finished: Finished) -> None:
        """Count a finished context."""
        kept = {kind: count for kind, count in finished.kept.items() if count}
        self.kept[finished.part].update(kept)
        self.contexts[finished.part] += bool(kept)
        self.dropped.update(finished.dropped)
        self.done += 1
        self.bare += not kept

    @property
    def questions(self) -> int:
        """Questions kept."""
        return sum(kinds.total() for kinds in self.kept.values())


def split_documents(documents: Sequence[Document], share: float, seed: int) -> dict[str, str]:
    """Return for each source its part, `train` or `test`: whole documents, never questions.

    Raises:
        UserError: there are not two documents to divide.
    """
    if len(documents) < 2:
        raise UserError(
            "one document cannot be divided into training and test data: its parts are about "
            "the same things. Give more documents, or leave out --test-out."
        )
    drawn = sorted(
        documents, key=lambda one: hashlib.sha256(f"{seed}/{one.text}".encode()).hexdigest()
    )
    tests = min(max(1, round(share * len(drawn))), len(drawn) - 1)
    return {one.source: "test" if n < tests else "train" for n, one in enumerate(drawn)}


def wanted_of_each(questions: int) -> dict[str, int]:
    """Return how many questions of each kind to ask for: the kinds in turn."""
    return {
        kind: questions // len(KINDS) + (n < questions % len(KINDS)) for n, kind in enumerate(KINDS)
    }


def make(
    contexts: Sequence[Context],
    journal: Journal,
    *,
    proposer: Proposer,
    closed_book: ClosedBook | None,
    parts: Mapping[str, str],
    wanted: Mapping[str, int],
    finished: Mapping[str, Finished],
    parallel: int = 1,
    report: Callable[[Totals], object] = lambda _: None,
) -> Totals:
    """Write the questions of all contexts that are not finished, in their order.

    Args:
        contexts: of all documents.
        journal: where they are written to, open.
        proposer: called from `parallel` threads.
        closed_book: the target model, to drop what it knows without the document; None: keep it.
        parts: of each source, which file its rows go to.
        wanted: questions to ask for, by kind.
        finished: what the journal has already.
        parallel: contexts that are asked about at the same time.
        report: called with the totals after each context.

    Raises:
        UserError: the teacher cannot be reached, or keeps silent on one context after another.
    """
    totals, silent = Totals(), 0
    for one in finished.values():
        totals.add(one)
    left = [context for context in contexts if context.id not in finished]
    for context, proposals in _proposed(proposer, left, wanted, parallel):
        if isinstance(proposals, NoReply):
            totals.silent += 1
            silent += 1
            if silent == SILENT_IN_A_ROW:
                raise UserError(
                    f"the teacher had no reply to {silent} contexts in a row: {proposals}. "
                    "Give the same command again to ask again."
                )
            continue
        silent = 0
        kept, dropped = _keep(context, proposals, wanted, closed_book)
        kinds = Counter(proposal.kind for proposal in kept)
        done = Finished(context.id, parts[context.source], dict(kinds), dict(dropped))
        journal.add(done, _row(context, kept) if kept else None)
        totals.add(done)
        report(totals)
    return totals


def _proposed(
    proposer: Proposer, contexts: Iterable[Context], wanted: Mapping[str, int], parallel: int
) -> Iterator[tuple[Context, Proposals | NoReply]]:
    """Yield each context with what was proposed, in order, some contexts ahead of the reader."""

    def propose(context: Context) -> Proposals | NoReply:
        try:
            return proposer.propose(context, wanted)
        except NoReply as silence:
            return silence

    if parallel == 1:
        yield from ((context, propose(context)) for context in contexts)
        return
    pool = ThreadPoolExecutor(parallel)
    ahead: deque[tuple[Context, Future[Proposals | NoReply]]] = deque()
    try:
        for context in contexts:
            ahead.append((context, pool.submit(propose, context)))
            if len(ahead) > parallel:
                first, future = ahead.popleft()
                yield first, future.result()
        for first, future in ahead:
            yield first, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _keep(
    context: Context,
    proposals: Proposals,
    wanted: Mapping[str, int],
    closed_book: ClosedBook | None,
) -> tuple[tuple[Proposal, ...], Counter[str]]:
    checked = check(context.text, proposals.items, wanted)
    dropped = Counter(checked.dropped)
    if proposals.malformed:
        dropped["malformed"] += proposals.malformed
    if closed_book is None or not checked.kept:
        return checked.kept, dropped
    filtered = drop_known(checked.kept, closed_book)
    return filtered.kept, dropped + Counter(filtered.dropped)


def _row(context: Context, kept: Sequence[Proposal]) -> dict[str, Any]:
    """Return a line of the file that `--data` and `data=` read."""
    return {
        "id": context.id,
        "context": context.text,
        "source": context.source,
        "start": context.start,
        "end": context.end,
        "questions": [
            {
                "id": str(number),
                "question": proposal.question,
                "answers": list(proposal.answers),
                "kind": proposal.kind,
                "support": list(proposal.support),
            }
            for number, proposal in enumerate(kept, start=1)
        ],
    }
