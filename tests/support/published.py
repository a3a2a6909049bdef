"""A row of each published layout that is read, written for the tests."""

from typing import Any

QUALITY = {
    "article_id": "1",
    "set_unique_id": "1_A",
    "title": "Doors",
    "article": "<p>Ada chose the red door.</p>",
    "questions": [
        {
            "question": "Which door?",
            "question_unique_id": "1_A_1",
            "options": ["The blue one", "The red door", "None", "Both"],
            "gold_label": 2,
            "difficult": 1,
        }
    ],
}
LEVAL = {
    "instructions": ["Which? A. pump B. valve", "Which two? A. a B. b C. c"],
    "outputs": ["A", "B, C"],
    "input": "The pump leaked.",
    "source": "s",
    "evaluation": "exam",
}
MUSIQUE = {
    "id": "2hop__1_2",
    "paragraphs": [
        {
            "idx": 0,
            "title": "Ada",
            "paragraph_text": "Ada was born in Rome.",
            "is_supporting": True,
        },
        {"idx": 1, "title": "Bo", "paragraph_text": "Bo was not.", "is_supporting": False},
    ],
    "question": "Where was she born?",
    "answer": "Rome",
    "answer_aliases": ["Roma", "Rome"],
    "answerable": True,
}


def qas(**answer: Any) -> dict[str, Any]:
    """Return a question of QASPER with one answer."""
    whole = {
        "unanswerable": False,
        "extractive_spans": [],
        "yes_no": None,
        "free_form_answer": "",
        "evidence": ["We use BERT."],
        **answer,
    }
    return {"question": "Which?", "question_id": str(answer), "answers": [{"answer": whole}]}


QASPER = {
    "title": "A paper",
    "abstract": "We try.",
    "full_text": [{"section_name": "Method", "paragraphs": ["We use BERT."]}],
    "qas": [
        qas(extractive_spans=["BERT", "GPT"]),
        qas(free_form_answer="A model"),
        qas(yes_no=False),
        qas(unanswerable=True),
    ],
}


LONGBENCH = {
    "_id": "a",
    "input": "Where?",
    "context": "In Rome.",
    "answers": ["Rome"],
    "all_classes": None,
    "dataset": "hotpotqa",
}


HELMET = {
    "id": "7",
    "question": "Who painted the barn?",
    "answers": ["Ada Byron", "Byron"],
    "ctxs": [
        {"title": "Barn", "text": "Ada Byron painted it.", "has_answer": True},
        {"title": "Mill", "text": "It grinds corn.", "has_answer": False},
    ],
}
HELMET_KV = {
    "context": '{"a1": "b2", "c3": "d4"}',
    "question": "c3",
    "answer": "d4",
    "num_kvs": 2,
    "demos": [["a1", "b2"]],
    "depth": 0.5,
}
HELMET_NIAH = {
    "index": 3,
    "context": "A special magic number for red-hen is: 41. Another for red-hen is: 52.",
    "query": "red-hen",
    "type_needle_v": "numbers",
    "outputs": ["41", "52"],
}

HELMET_RERANK = {
    "qid": "9",
    "query": "who painted it?",
    "ctxs": [
        {"id": "4", "label": 0, "text": "It grinds corn."},
        {"id": "7", "label": 3, "title": "Barn", "text": "Ada Byron painted it."},
        {"id": "8", "label": 1, "text": "It is red."},
    ],
}
ASQA = {
    "question": "Who painted the barn, and when?",
    "qa_pairs": [
        {"question": "Who?", "short_answers": ["Ada Byron", "Byron"]},
        {"question": "When?", "short_answers": ["May"]},
    ],
    "docs": [
        {"title": "Barn", "text": "Ada Byron painted it."},
        {"title": "Year", "text": "It was in May."},
    ],
    "answer": "Ada Byron painted it in May.",
}
QAMPARI = {
    "id": "5_wiki",
    "question": "Which books are there?",
    "answers": [["Marazan"], ["Pied Piper", "The Piper"], ["No Highway"]],
    "docs": ASQA["docs"],
}
NARRATIVEQA = {
    "document": {"text": "Ada painted the barn.", "kind": "gutenberg"},
    "question": {"text": "Who painted it?"},
    "answers": [{"text": "Ada"}, {"text": "it was Ada"}],
}
BOOK_QA = {
    "id": 3,
    "context": "Ada painted the barn.",
    "input": "Who painted it?",
    "answer": ["Ada", "Ada Byron"],
    "options": [],
}
BOOK_CHOICE = {**BOOK_QA, "options": ["Bo", "Ada", "Cy", "Di"], "answer": ["Ada"]}
BOOK_SUM = {**BOOK_QA, "input": "", "answer": ["Ada paints a barn."]}
LEXSUM = {
    "id": "EE-1",
    "sources": ["The city was sued.", "It settled."],
    "summary/long": None,
    "summary/short": "The city was sued and settled.",
}
ICL = {
    "text": "Is it far?",
    "label": 3,
    "context": "Where is it?\nlabel: 4\n\nHow far is it?\nlabel: 17",
    "question": "Is it far?",
    "answer": "17",
}

LOOGLE = {
    "input": "Ada Byron painted the barn in May. It was red.",
    "title": "The barn",
    "qa_pairs": [
        {
            "Q": "Who painted the barn?",
            "A": "Ada Byron painted it.",
            "S": ["Ada Byron painted the barn in May."],
            "type": "Multiple information retrieval",
        }
    ],
    "output": "none",
}
LOOGLE_CLOZE = {
    **LOOGLE,
    "qa_pairs": str(
        [
            {
                "Q": "<mask-0> painted it in <mask-1>.",
                "S": "Ada Byron painted the barn in May.",
                "A": {"<mask-0>": "Ada Byron", "<mask-1>": "May"},
            }
        ]
    ),
}
