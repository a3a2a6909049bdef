"""Questions that the harness makes of a context, and who gets them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from harness.api import Question
from harness.run.handed import prepare, questions_of
from tests.support.fakes import Fake, FakeContext, FakeModel

CONTEXT = (
    "The amber harp is in hall 7. The cups of hall 4 were carried into other rooms, and hall 4 was "
    "shut. Later the engineer Mira came back with another yellow boat on 3 May 1871. We like Mira."
)


@dataclass
class Learner(Fake):
    """A backend that writes down what it is handed."""

    wants_questions: ClassVar[bool] = True

    handed: list[Sequence[Question]] = field(default_factory=list)

    def prepare(self, context: str, questions: Sequence[Question] = ()) -> FakeContext:
        """Write it down."""
        self.handed.append(questions)
        return super().prepare(context)


def test_each_question_is_a_sentence_of_the_context_with_a_gap() -> None:
    """Its answer fills the gap, and stands nowhere else in the sentence."""
    questions = questions_of(CONTEXT)
    assert [question.targets for question in questions] == [
        ("7",),
        ("Mira",),
        ("3 May 1871",),
        ("Mira",),
    ]
    for question in questions:
        (sentence,), (answer,) = question.support, question.targets
        assert sentence in CONTEXT
        assert question.text == f"Fill the gap: {sentence.replace(answer, '____')}"


def test_a_backend_gets_them_where_it_wants_them() -> None:
    """Whatever the context is; it need not have any."""
    backend = Learner(FakeModel())
    for context in (CONTEXT, "The sea is calm."):
        prepare(backend, context).close()
    assert backend.handed == [questions_of(CONTEXT), ()]
