"""A teacher without a model: questions made of the text itself, by rules.

It needs no model, asks the same for the same seed, and its answers are right by construction. Its
questions are plain, and ask for wording more than for meaning: they show that a pipeline works and
that a model reads. For good training data, take a language model as the teacher.

    lookup        a sentence with a gap for a name, a number or a date; who says a piece of speech;
                  the value of a constant in source code
    global        how often a name or word is written; which of three comes first, last, most often
    reasoning     two sentences joined by a name: the gap of one names it, the other has a number or
                  another name; a gap, or speech, and how often its name is written; which of two
                  constants is greater
    unanswerable  in the wordings of the others: a sentence with a gap and a wrong name; a gap whose
                  name has no other sentence with what is asked for; who says what nobody says; a
                  constant that is not there
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from harness.makeqa import code_rules, missing
from harness.makeqa.checks import holds
from harness.makeqa.cutting import Context
from harness.makeqa.global_rules import count_of, global_questions
from harness.makeqa.joining import gaps, joined_question, others_with
from harness.makeqa.proposals import Proposal, Proposals
from harness.makeqa.speech import Speech, find_speech
from harness.mentions import AnnotatedText, gap_question, spellings

T = TypeVar("T")
Rule = Callable[[AnnotatedText, random.Random], Iterable[Proposal]]


@dataclass(frozen=True)
class Rules:
    """A proposer that follows the rules above.

    Args:
        seed: decides which of all possible questions are asked.
    """

    seed: int = 0

    def propose(self, context: Context, wanted: Mapping[str, int]) -> Proposals:
        """Return questions from all over the context, the rules of a kind in turn."""
        annotated = AnnotatedText(context.text)
        rng = random.Random(f"{self.seed}/{context.id}")
        chosen: list[Proposal] = []
        for kind, count in wanted.items():
            chosen += islice(_in_turn(annotated, rng, _RULES[kind]), count)
        return Proposals(tuple(chosen))


def _in_turn(
    annotated: AnnotatedText, rng: random.Random, rules: Iterable[Rule]
) -> Iterator[Proposal]:
    """Yield one proposal of each rule in turn; none repeats a question or a first sentence."""
    streams = [iter(rule(annotated, rng)) for rule in rules]
    seen: set[object] = set()
    while streams:
        for stream in tuple(streams):
            for proposal in stream:
                marks = {proposal.question, *proposal.support[:1]}
                if marks & seen or any(holds(proposal.question, one) for one in proposal.answers
                                       if proposal.kind != "global"):  # fmt: skip
                    continue
                seen |= marks
                yield proposal
                break
            else:
                streams.remove(stream)


def _name_gaps(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """The name that is missing in a sentence."""
    for sentence, name in gaps(annotated, rng):
        question = gap_question(name, sentence.gap(name))
        yield Proposal("lookup", question, (name.text,), (sentence.text,))


def _value_gaps(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """The number or date that is missing in a sentence."""
    found = [
        (sentence, value)
        for sentence in annotated.gap_sentences
        for value in sentence.values
        if Counter(one.text for one in sentence.values)[value.text] == 1
    ]
    for sentence, value in _shuffled(found, rng):
        question = gap_question(value, sentence.gap(value))
        yield Proposal("lookup", question, spellings(value.text), (sentence.text,))


def _speakers(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """Who says something."""
    for speech in _shuffled(find_speech(annotated), rng):
        yield Proposal("lookup", speech.question, (speech.speaker,), (speech.support,))


def _joined_values(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """A gap gives a name; of the other sentences with the name, one has a number."""
    for sentence, name in gaps(annotated, rng):
        others = others_with(annotated, sentence, name)
        values = [(other, value) for other in others for value in other.values]
        if not sentence.values and len(values) == 1:
            other, value = values[0]
            question = joined_question(sentence, name, "value")
            yield Proposal(
                "reasoning", question, spellings(value.text), (sentence.text, other.text)
            )


def _joined_names(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """A gap gives a name; in the other sentences, it stands beside one other name."""
    for sentence, name in gaps(annotated, rng):
        beside = {
            mention.text: other
            for other in others_with(annotated, sentence, name)
            for mention in other.names
            if not (holds(mention.text, name.text) or holds(name.text, mention.text))
        }
        if len(beside) == 1:
            ((answer, other),) = beside.items()
            question = joined_question(sentence, name, "name")
            yield Proposal("reasoning", question, (answer,), (sentence.text, other.text))


def _counted_gaps(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """A gap gives a name; how often is it written?"""
    for sentence, name in gaps(annotated, rng):
        asked = f"that is missing here: {sentence.gap(name)}"
        yield from _counted(annotated, name.text, asked, sentence.text)


def _counted_speakers(annotated: AnnotatedText, rng: random.Random) -> Iterator[Proposal]:
    """Somebody says something; how often is the name written?"""
    speeches: list[Speech] = _shuffled(find_speech(annotated), rng)
    for speech in speeches:
        asked = f"of the one who says \N{LEFT DOUBLE QUOTATION MARK}{speech.words}"
        yield from _counted(
            annotated, speech.speaker, f"{asked}\N{RIGHT DOUBLE QUOTATION MARK}.", speech.support
        )


def _counted(annotated: AnnotatedText, name: str, asked: str, evidence: str) -> Iterator[Proposal]:
    counted = count_of(annotated, name)
    if counted:
        answers, support = counted
        question = f"Take the name {asked} How many times is that name written in the text?"
        yield Proposal(
            "reasoning", question, answers, (evidence, *(one for one in support if one != evidence))
        )


def _shuffled(found: Iterable[T], rng: random.Random) -> list[T]:
    items = list(found)
    return rng.sample(items, len(items))


_RULES: Mapping[str, tuple[Rule, ...]] = {
    "lookup": (_name_gaps, _speakers, _value_gaps, code_rules.values),
    "global": (global_questions,),
    "reasoning": (
        _joined_values,
        _joined_names,
        code_rules.comparisons,
        _counted_speakers,
        _counted_gaps,
    ),
    "unanswerable": (
        missing.swapped,
        missing.joined,
        missing.narrated,
        code_rules.missing_constants,
    ),
}
