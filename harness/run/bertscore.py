"""BERTScore (arXiv 1904.09675) of answers against their targets, by the package bert_score."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.served.judge import Judged

_PACKAGE = "bert_score"
_NOTHING = "None"  # what LooGLE's script puts for an empty answer


@dataclass(frozen=True)
class BertScore:
    """A model whose embeddings of tokens are compared.

    Args:
        name: its folder, or its name on the hub; the last part says which layer is taken, by the
            package's table: the 17th of roberta-large.
    """

    name: str

    def ask(self, judged: Sequence[Judged]) -> list[float | None]:
        """Return the precision of each answer, the best over its targets; None without targets.

        LooGLE's script exchanges both texts and takes the recall, which is the same.

        Raises:
            UserError: the package or the model is not there.
        """
        pairs = [(answer.strip() or _NOTHING, targets) for _, targets, answer in judged if targets]
        if not pairs:
            return [None] * len(judged)
        answers, references = zip(*pairs, strict=True)
        precision, _, _ = self._scorer.score(list(answers), list(map(list, references)))
        found = iter(precision.tolist())
        return [next(found) if targets else None for _, targets, _ in judged]

    @cached_property
    def _scorer(self) -> Any:
        try:
            package, known = import_module(_PACKAGE), import_module(f"{_PACKAGE}.utils")
        except ImportError as missing:
            raise UserError(
                f"BERTScore needs the package {_PACKAGE}: pip install 'gist-bench[published]'."
            ) from missing
        layers = known.model2layers.get(Path(self.name).name)
        if layers is None:
            raise UserError(
                f"{self.name} ends in no model that BERTScore knows a layer of. Give a folder that "
                "is called as its model, such as roberta-large, LooGLE's."
            )
        try:
            return package.BERTScorer(model_type=str(self.name), num_layers=layers)
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise UserError(f"cannot load {self.name} for BERTScore: {reason}.") from error
