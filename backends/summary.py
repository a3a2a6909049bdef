"""summary: the model's own summary, cut to the budget, read in place of the document.

What a person does who has no method for it: ask the model to write down what matters, once, and
keep that. Asking costs a pass over the context and a token of the summary at a time.
"""

from dataclasses import dataclass

from backends.kv.cached import CachedContext
from backends.kv.size import RivalOptions
from harness.api import Prompt

WORDS_PER_TOKEN = 0.7  # of English, so that the last sentence is seldom cut
INSTRUCTION = (
    "Summarise the document in at most {words} words. Keep names, numbers, places and dates."
    "\n\nDocument:\n"
)


@dataclass
class Summary(RivalOptions):
    """A summary of the context.

    Args:
        tokens: tokens of the summary, at most.
        ratio: context tokens per token of the summary, instead of `tokens`; 16, as in gist, if
            neither is given.
    """

    def prepare(self, context: str) -> CachedContext:
        """Summarise the context, and read the summary."""
        from gist.decode import read

        ids = self.model.tokenizer.encode(context)
        budget = self.entries_for(len(ids))
        if budget < len(ids):
            ids = self._summary(ids, budget)
        state = read(self.model, [*self.model.prompt.before, *ids])
        return CachedContext(self.model, state, context_entries=len(ids))

    def _summary(self, context: list[int], budget: int) -> list[int]:
        """Return the ids of a summary of so many tokens at most, special ones left out."""
        from gist.decode import ask, read
        from gist.models.prompt import render_prompt

        lm = self.model
        texts = Prompt(instruction_for(budget), "\n", "\nSummary:")
        prompt = render_prompt(lm.tokenizer.inner, texts)
        state = read(lm, [*prompt.before, *context])
        row = [*prompt.between, *prompt.after]
        (new,) = ask(lm, state, [row], max_new_tokens=budget)
        special = {*lm.end_ids, *lm.tokenizer.inner.all_special_ids}
        return [token for token in new if token not in special]


def instruction_for(tokens: int) -> str:
    """Return what stands in front of a context of which a summary of so many tokens is wanted."""
    return INSTRUCTION.format(words=max(1, int(tokens * WORDS_PER_TOKEN)))
