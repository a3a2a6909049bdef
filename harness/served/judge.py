"""A model that says whether an answer means the same as an accepted one.

It sees the question, the accepted answers and the answer, not the context: a run does not store
contexts. Its verdicts are a column beside the metrics, never in their place.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.api import ABSTENTION
from harness.errors import ContextTooLong, UserError
from harness.served.kept import KeptReplies
from harness.served.messages import Completion, Message, NoReply

PROMPT = (
    "You grade an answer to a question.\n\nQuestion: {question}\nAccepted answers: {targets}\n"
    "Answer to grade: {answer}\n\nDoes the answer to grade say the same as one of the accepted "
    "answers? Reply with yes or no and nothing else."
)
_THOUGHT_END = "</think>"
_VERDICT = re.compile(r"\W*(yes|no)\b", re.I)
_SLOTS = re.compile(r"\{(question|targets|answer)\}")


Judged = tuple[str, tuple[str, ...], str]
"""Question, accepted answers (none: the context does not hold the answer), and the answer."""

Ask = Callable[[Sequence[Judged]], list[float | None]]
"""Returns the verdict on each of some answers."""


@dataclass(frozen=True)
class Judge:
    """A judge.

    Args:
        name: as the user gave it.
        ask: returns the reply to a conversation.
        parallel: how many answers it is asked about at the same time.
    """

    name: str
    ask: Callable[[Sequence[Message]], str]
    parallel: int = 1

    @contextmanager
    def asking(self, folder: Path) -> Iterator[Ask]:
        """Yield what asks for verdicts: 1 for yes, 0 for no, None for a reply that is neither.

        The same is asked once. Replies are in `folder` until the context is left without an error:
        a command that was stopped does not pay for them again.

        Raises:
            harness.errors.UserError: the judge cannot be reached, or refuses.
        """
        folder.mkdir(parents=True, exist_ok=True)
        known: dict[bytes, float | None] = {}  # by a hash: texts of a large run are many
        with closing(KeptReplies()) as kept, ThreadPoolExecutor(self.parallel) as pool:
            kept.open(folder)

            def ask(judged: Sequence[Judged]) -> list[float | None]:
                texts = {_hash(text): text for text in map(self._text, judged)}
                new = [key for key in texts if key not in known]
                replies = pool.map(lambda key: self._reply(texts[key], kept), new)
                known.update(zip(new, map(verdict, replies), strict=True))
                return [known[_hash(self._text(one))] for one in judged]

            try:
                yield ask
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        shutil.rmtree(folder)

    def _text(self, judged: Judged) -> str:
        """Fill in the prompt; what stands in braces in a text is left as it is."""
        question, targets, answer = judged
        if not question:
            raise UserError("a run of an earlier version does not hold its questions to be judged.")
        accepted = " | ".join(targets or (ABSTENTION,))
        of_slot = {"question": question, "targets": accepted, "answer": answer}
        return _SLOTS.sub(lambda slot: of_slot[slot[1]], PROMPT)

    def _reply(self, text: str, kept: KeptReplies) -> str:
        key = [self.name, text]
        found = kept.take(key)
        if found is None:
            try:
                found = Completion(self.ask([Message("user", text)]), False, None, None)
            except (NoReply, ContextTooLong):  # this one answer has no verdict
                return ""
            kept.add(key, found)
        return found.text


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="backslashreplace")).digest()


def verdict(reply: str) -> float | None:
    """Return 1 for a reply that begins with yes, 0 for no, None for any other.

    Thoughts in front of it are left out.
    """
    found = _VERDICT.match(reply.rpartition(_THOUGHT_END)[2])
    return None if found is None else float(found[1].lower() == "yes")
