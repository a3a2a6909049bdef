"""make-qa: where documents are cut, which questions are kept, and what the rules ask."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.makeqa.asking import AGAIN, Asking, parse
from harness.makeqa.checks import REASONS, check, drop_known, normalize
from harness.makeqa.cutting import Context, Size, cut_document
from harness.makeqa.journal import Journal
from harness.makeqa.pipeline import make, split_documents, wanted_of_each
from harness.makeqa.proposals import KINDS, Proposal, Proposals
from harness.makeqa.readers import Document
from harness.makeqa.rules import Rules
from harness.served.messages import Message
from tests.support.fake_tokenizers import MergingTokenizer, SplittingTokenizer, WordTokenizer

EACH = dict.fromkeys(KINDS, 6)
STORY = """\
Chapter One

The mill stood by the river, and old Adamo Brenta kept it for thirty years. In the spring the \
people of Corvala came with nine carts of grain, and Adamo Brenta counted every sack of it. \
"You are late with the grain this year," said Teresa, and she closed the heavy door.
Adamo Brenta did not answer Teresa, for Adamo Brenta was a patient man.

In the autumn of that year the miller walked to Corvala, where he met Teresa on the bridge. \
The bridge had been built by soldiers, and Teresa knew the story of it well. They talked of the \
flood and of the harvest, until Adamo Brenta went home. It rained for 40 days, and the road to \
Corvala was under water. On 4 May 1911 the old wheel broke, and Adamo Brenta wept for it.

"I will never sell this house to a stranger," said Adamo Brenta, and he looked at Teresa.
"""
CODE = """\
SLOW_STEPS = 40
FAST_STEPS = 900  # on a good day
TITLE_TEXT = "the mill"


def grind(sacks):
    seen = sacks + 1
    return seen
"""


def as_context(text: str) -> Context:
    """Return a whole text as a context."""
    return Context("a#1", "a", 0, len(text), text)


@pytest.mark.parametrize("tokenizer", [WordTokenizer, MergingTokenizer, SplittingTokenizer])
@pytest.mark.parametrize("max_tokens", [20, 45, 90])
def test_contexts_are_verbatim_and_within_the_limits(
    tokenizer: type[WordTokenizer], max_tokens: int
) -> None:
    """Each is a piece of the document at its place, in order; only what is too short is missing."""
    text = f"\n\n{STORY * 3}{'word ' * 130}"
    counter = tokenizer()
    contexts = cut_document(Document("a", text), counter, Size(max_tokens // 3, max_tokens))
    assert len(contexts) > 3
    for one in contexts:
        assert one.text == text[one.start : one.end] == one.text.strip()
        assert max_tokens // 3 <= len(counter.encode(one.text)) <= max_tokens
    assert all(one.end <= other.start for one, other in pairwise(contexts))
    assert len({one.id for one in contexts}) == len(contexts)
    ends = [0, *(edge for one in contexts for edge in (one.start, one.end)), len(text)]
    missing = [text[a:b] for a, b in zip(ends[::2], ends[1::2], strict=True)]
    assert all(len(counter.encode(piece)) < max_tokens // 3 for piece in missing)


def test_cuts_are_at_the_ends_of_paragraphs_where_one_is_near() -> None:
    """With paragraphs of one size, every context ends with one."""
    paragraph = "It rained. The road was wet. They went home."
    document = Document("a", "\n\n".join([paragraph] * 40))
    contexts = cut_document(document, WordTokenizer(), Size(20, 60))
    assert all(one.text.endswith(paragraph) for one in contexts)
    assert all(one.text.startswith("It rained.") for one in contexts)


def test_a_document_is_cut_into_parts_of_like_size() -> None:
    """No small rest is left behind."""
    document = Document("a", "They went home. " * 70)
    sizes = [
        len(one.text.split()) for one in cut_document(document, WordTokenizer(), Size(50, 100))
    ]
    assert sum(sizes) == 210
    assert max(sizes) - min(sizes) <= 6


def test_a_short_document_has_no_context() -> None:
    """Fewer tokens than min_tokens are too few."""
    assert cut_document(Document("a", "They went home."), WordTokenizer(), Size(4, 8)) == []


TEXT = (
    "The mill  of \u201cOld Adamo\u201d\nwas built in 1911. It was Adamo\u2019s. "
    "He sold it to Teresa."
)
GOOD = Proposal(
    "lookup",
    "When was the mill built?",
    ("1911",),
    ('The mill of "Old Adamo" was built in 1911.',),
)


def test_evidence_is_found_whatever_its_spaces_and_quotes_and_kept_as_it_is_written() -> None:
    """The sentence that is kept is a piece of the text."""
    (kept,) = check(TEXT, [GOOD], EACH).kept
    assert kept.support == (TEXT.partition(" It")[0],)


@pytest.mark.parametrize(
    ("reason", "proposals"),
    [
        ("malformed", [replace(GOOD, kind="riddle")]),
        ("malformed", [replace(GOOD, question=" ?! ")]),
        ("malformed", [replace(GOOD, answers=())]),
        ("malformed", [replace(GOOD, answers=("...",))]),
        ("malformed", [replace(GOOD, kind="unanswerable")]),
        ("long", [replace(GOOD, answers=("in the year 1911 " * 4,))]),
        ("proof_not_in_text", [replace(GOOD, support=("The mill was built in 1911.",))]),
        ("proof_not_in_text", [replace(GOOD, support=())]),
        ("proof_not_in_text", [replace(GOOD, support=(*GOOD.support, "He sold it to Ada."))]),
        ("answer_not_in_proof", [replace(GOOD, answers=("1910",))]),
        ("answer_not_in_proof", [replace(GOOD, answers=("191",))]),
        ("answer_in_question", [replace(GOOD, question="Was the mill built in 1911?")]),
        ("duplicate", [GOOD, replace(GOOD, question="when was mill built")]),
        ("surplus", [replace(GOOD, question=f"Question {n}?") for n in range(7)]),
    ],
)
def test_what_does_not_hold_is_dropped_for_its_reason(
    reason: str, proposals: list[Proposal]
) -> None:
    """One is dropped, the others are kept, and the reason is one that is explained."""
    checked = check(TEXT, proposals, EACH)
    assert checked.dropped == {reason: 1}
    assert len(checked.kept) == len(proposals) - 1
    assert reason in REASONS


def test_a_name_is_in_a_sentence_with_its_genitive() -> None:
    """Adamo's holds Adamo."""
    owner = replace(
        GOOD, question="Whose was it?", answers=("Adamo",), support=("It was Adamo's.",)
    )
    assert check(TEXT, [owner], EACH).kept


@dataclass
class Knows:
    """A target model that gives one answer to everything."""

    answer: str
    asked: list[str] = field(default_factory=list)

    def answer_without_document(self, questions: Sequence[str]) -> list[str]:
        """Return the answer."""
        self.asked += questions
        return [self.answer for _ in questions]


@pytest.mark.parametrize(
    ("answer", "left"), [("It was in 1911.", 1), ("1911", 1), ("In 1912", 2), ("19111", 2), ("", 2)]
)
def test_what_the_model_knows_without_the_document_is_dropped(answer: str, left: int) -> None:
    """Whole words count; a question without an answer is not asked, and stays."""
    nothing = Proposal("unanswerable", "Who owns it?", (), ())
    model = Knows(answer)
    filtered = drop_known([GOOD, nothing], model)
    assert len(filtered.kept) == left
    assert nothing in filtered.kept
    assert filtered.dropped == ({"known_without_document": 1} if left == 1 else {})
    assert model.asked == [GOOD.question]


@dataclass(frozen=True)
class Proposes:
    """A source that has these questions for every context."""

    items: tuple[Proposal, ...]

    def propose(self, context: Context, wanted: Mapping[str, int]) -> Proposals:  # noqa: ARG002
        """Return them."""
        return Proposals(self.items, malformed=2)


def test_what_is_dropped_is_counted_by_reason(tmp_path: Path) -> None:
    """By the checks and the filter alike; a context that nothing is left of has no row."""
    contexts = [replace(as_context(text), id=f"a#{n}") for n, text in enumerate((TEXT, STORY))]
    journal = Journal({"train": tmp_path / "qa.jsonl"}, {})
    with journal.open() as finished:
        totals = make(
            contexts,
            journal,
            proposer=Proposes((GOOD, replace(GOOD, question="Whose was it?", answers=("Adamo",)))),
            closed_book=Knows("It was 1911."),
            parts={"a": "train"},
            wanted=EACH,
            finished=finished,
        )
    assert totals.dropped == {"malformed": 4, "known_without_document": 1, "proof_not_in_text": 2}
    assert (totals.done, totals.bare, totals.questions) == (2, 1, 1)
    (row,) = map(json.loads, (tmp_path / "qa.jsonl").read_text().splitlines())
    assert [question["question"] for question in row["questions"]] == ["Whose was it?"]


ROW = {"kind": "lookup", "question": "When?", "answer": "1911", "proof": ["It was 1911."]}
LIST = json.dumps([ROW])


@pytest.mark.parametrize(
    ("reply", "found", "malformed"),
    [
        (LIST, 1, 0),
        (f"Sure!\n```json\n{LIST}\n```\nDone.", 1, 0),
        (f'<think>{{"question": 1}} or [</think>{LIST}', 1, 0),
        (json.dumps({"questions": [ROW, ROW]}), 2, 0),
        ("\n".join([json.dumps(ROW)] * 3), 3, 0),
        (LIST.replace("]}", "],}"), 1, 0),
        (f"{json.dumps([ROW, ROW])[:-30]}", 1, 1),
        (json.dumps([ROW | {"kind": " Lookup "}, ROW | {"answer": 1911}]), 2, 0),
        (json.dumps([ROW | {"proof": "It was 1911."}]), 1, 0),
        (json.dumps([ROW | {"question": None}, ROW]), 1, 1),
        (json.dumps([ROW | {"answer": {"year": 1911}}]), 0, 1),
        ('[{"kind": "lookup", "question": "\\ud800", "answer": "a", "proof": []}]', 0, 1),
        ("I cannot do that.", 0, 0),
        ("{" * 5000, 0, 0),
        ("", 0, 0),
    ],
)
def test_replies_are_read_with_tolerance(reply: str, found: int, malformed: int) -> None:
    """What is a whole question is used; what only begins like one is counted."""
    proposals = parse(reply)
    assert (len(proposals.items), proposals.malformed) == (found, malformed)
    assert all(item.kind == "lookup" and item.answers == ("1911",) for item in proposals.items)
    assert all(item.support == ("It was 1911.",) for item in proposals.items)


@pytest.mark.parametrize("answer", ["", None, "Not in the text.", "N/A", [], "unknown"])
def test_an_unanswerable_question_has_no_answer_however_it_is_said(answer: object) -> None:
    """Models write the lack of an answer in many ways."""
    row = {"kind": "unanswerable", "question": "Who?", "answer": answer, "proof": ["It rained."]}
    (item,) = parse(json.dumps([row])).items
    assert (item.answers, item.support) == ((), ())


@dataclass
class Says:
    """A teacher that says these things in turn."""

    replies: list[str]
    asked: list[Sequence[Message]] = field(default_factory=list)

    def ask(self, messages: Sequence[Message]) -> str:
        """Return the next reply."""
        self.asked.append(messages)
        return self.replies[len(self.asked) - 1]


def test_a_reply_without_questions_is_asked_for_once_more() -> None:
    """The second time with what was said, and what is wanted; then it counts as malformed."""
    teacher = Says(["Gladly!", LIST])
    assert len(Asking(teacher).propose(as_context(STORY), EACH).items) == 1
    assert [turn.content for turn in teacher.asked[1][1:]] == ["Gladly!", AGAIN]
    assert STORY in teacher.asked[0][0].content
    in_vain = Asking(Says(["Gladly!", "Really!"])).propose(as_context(STORY), EACH)
    assert (in_vain.items, in_vain.malformed) == ((), 1)


@pytest.mark.parametrize("text", [STORY, CODE])
def test_the_rules_pass_the_checks(text: str) -> None:
    """Nothing that the rules propose is dropped, and every kind that they can ask is there."""
    proposals = Rules(3).propose(as_context(text), EACH).items
    checked = check(text, proposals, EACH)
    assert checked.dropped == {}
    kinds = {proposal.kind for proposal in checked.kept}
    assert kinds >= ({"lookup", "reasoning", "unanswerable"} if text == CODE else set(KINDS))


def test_a_gap_is_filled_by_its_answer() -> None:
    """With the answer in the gap, the sentence is one of the text's."""
    asked = [
        one for one in Rules().propose(as_context(STORY), EACH).items if "____" in one.question
    ]
    lookups = [one for one in asked if one.kind == "lookup"]
    assert lookups
    for one in lookups:
        assert one.question.count("____") == 1
        sentence = one.question.partition("text: ")[2].replace("____", one.answers[0])
        assert sentence in one.support
        assert sentence in " ".join(STORY.split())


def test_a_wrong_name_makes_a_gap_that_no_sentence_fills() -> None:
    """The question looks like one with an answer; its sentence is the text's but for a name."""
    flat = " ".join(STORY.split())
    asked = [
        one.question.partition("text: ")[2]
        for seed in range(9)
        for one in Rules(seed).propose(as_context(STORY), EACH).items
        if one.kind == "unanswerable" and "sentence of the text: " in one.question
    ]
    assert asked
    for sentence in asked:
        before, _, after = sentence.partition("____")
        assert not (before in flat and after in flat)
        names = ("Adamo Brenta", "Teresa", "Corvala")
        undone = [sentence.replace(one, other) for one in names for other in names if one != other]
        halves = [one.split("____") for one in undone]
        assert any(first in flat and last in flat for first, last in halves)


BOOK = Path("tests/data/squad/test-articles-v1.1.excerpt.json")


def wording(question: str) -> str:
    """Return a question without what it takes from the text."""
    bare = re.sub('["`\u201c].*?["`\u201d]', "X", question)
    bare = re.sub(r"here: .*(?= Which | How )", "here: S", bare, flags=re.S)
    return re.sub(r"of the text: .*", "of the text: S", bare, flags=re.S)


def asked_about_stories() -> list[Proposal]:
    """Return what the rules ask about the story, code and articles, under many seeds."""
    articles = json.loads(BOOK.read_text(encoding="utf-8"))["data"]
    texts = ["\n\n".join(one["context"] for one in article["paragraphs"]) for article in articles]
    texts += [STORY, STORY + CODE, f"{STORY}\n\nThe night was long, and nobody saw Adamo Brenta.\n"]
    return [
        one
        for seed in range(8)
        for text in texts
        for one in Rules(seed).propose(as_context(text), dict.fromkeys(KINDS, 4)).items
    ]


def test_unanswerable_questions_have_the_wordings_of_answerable_ones() -> None:
    """A model that abstained by the form of a question would gain nothing."""
    asked = asked_about_stories()
    answerable = {wording(one.question) for one in asked if one.answers}
    unanswerable = [wording(one.question) for one in asked if not one.answers]
    assert len(unanswerable) > 100
    assert len(set(unanswerable)) >= 4
    assert set(unanswerable) <= answerable


def test_what_nobody_says_and_what_no_sentence_has_is_not_in_the_text() -> None:
    """The narrator's sentences are nobody's speech; the joined sentences lack what is asked for."""
    for one in asked_about_stories():
        if one.kind != "unanswerable":
            continue
        if one.question.startswith("Who says"):
            words = one.question.split("\u201c")[1].rstrip("?\u201d")
            assert f'"{words}' not in STORY
        elif one.question.startswith("Take the name"):
            assert one.question.count("____") == 1
            assert one.question.endswith(("with that name?", "sentence of the text?"))


def test_a_count_is_that_of_the_text() -> None:
    """Names are counted as they are written, over line breaks too."""
    counted = {
        one.question.split('"')[1]: one.answers
        for one in Rules().propose(as_context(STORY), {"global": 20}).items
        if one.question.startswith("How many times")
    }
    assert counted["Teresa"] == ("5", "five")
    for name, answers in counted.items():
        assert answers[0] == str(len(re.findall(rf"\b{name}\b", " ".join(STORY.split()))))


def test_who_comes_first_is_who_comes_first() -> None:
    """The order of the text decides, and the answer is one of the three."""
    flat = " ".join(STORY.split())
    asked = [
        one
        for seed in range(20)
        for one in Rules(seed).propose(as_context(STORY), {"global": 9}).items
        if "is written first" in one.question
    ]
    assert asked
    for one in asked:
        names = one.question.split('"')[1::2]
        assert one.answers == (min(names, key=flat.index),)


def test_two_sentences_are_joined_by_the_name_that_they_share() -> None:
    """The gap of the one is the name in the other, which has the answer."""
    asked = [
        one
        for seed in range(20)
        for one in Rules(seed).propose(as_context(STORY), {"reasoning": 9}).items
        if "another sentence" in one.question
    ]
    assert asked
    for one in asked:
        first, second = one.support
        before, _, after = one.question.removeprefix(
            "Take the name that is missing here: "
        ).partition("____")
        name = first[len(before) : len(first) - len(after.rpartition(" Which ")[0])]
        assert name in second
        assert any(answer in second for answer in one.answers)
        assert one.answers[0] not in first


def test_the_speaker_is_asked_for() -> None:
    """Direct speech with its speaker makes a question."""
    asked = {
        one.question: one.answers
        for seed in range(9)
        for one in Rules(seed).propose(as_context(STORY), EACH).items
        if one.question.startswith("Who says")
    }
    wanted = "Who says in the text: \u201cYou are late with the grain this year\u201d?"
    assert asked[wanted] == ("Teresa",)


def test_constants_of_source_code_are_asked_for() -> None:
    """Values, the greater of two, and a name that is not there."""
    asked = Rules().propose(as_context(CODE), EACH).items
    answers = {one.question: one.answers for one in asked}
    assert answers["What is `TITLE_TEXT` set to in the text?"] == ("the mill",)
    (greater,) = [one for one in asked if "greater" in one.question]
    assert greater.answers == ("900",)
    missing = [one.question.split("`")[1] for one in asked if one.kind == "unanswerable"]
    assert missing
    assert not any(name in CODE for name in missing)


def test_the_rules_give_the_same_for_the_same_seed() -> None:
    """And something else for another one."""
    first, second, other = (
        Rules(seed).propose(as_context(STORY), EACH).items for seed in (1, 1, 2)
    )
    assert first == second != other


def test_documents_are_divided_whole() -> None:
    """A share of the documents, at least one on either side, whatever their order."""
    documents = [Document(f"{n}.txt", f"Text {n}.") for n in range(10)]
    parts = split_documents(documents, 0.3, seed=0)
    assert Counter(parts.values()) == {"test": 3, "train": 7}
    assert split_documents(documents[::-1], 0.3, seed=0) == parts
    assert split_documents(documents, 0.3, seed=1) != parts
    assert Counter(split_documents(documents[:2], 0.01, 0).values()) == {"test": 1, "train": 1}
    assert Counter(split_documents(documents[:2], 0.99, 0).values()) == {"test": 1, "train": 1}
    with pytest.raises(UserError, match="cannot be divided"):
        split_documents(documents[:1], 0.5, seed=0)


def test_questions_are_shared_out_to_the_kinds() -> None:
    """In turn, the first kinds first."""
    assert [tuple(wanted_of_each(n).values()) for n in (1, 4, 6)] == [
        (1, 0, 0, 0),
        (1, 1, 1, 1),
        (2, 2, 1, 1),
    ]


def test_texts_are_compared_without_case_signs_and_articles() -> None:
    """As answers are when they are scored."""
    assert normalize("The  Mill, of Adamo\u2019s!") == "mill of adamos"
