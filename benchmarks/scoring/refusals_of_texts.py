"""Forms of refusal that speak of the text: it does not say, or it is about something else."""

from benchmarks.scoring.refusal_words import (
    ANY_TEXT,
    ENOUGH,
    HOW,
    IN_TEXT,
    INFORMATION,
    IT,
    KINDS,
    LACKED,
    LACKED_STRICT,
    MENTIONED,
    NAMED,
    SAYS,
    SOME,
    SPEAKER,
    STRONG,
    TEXT,
    TOLD,
    WH,
    A,
)

OF_TEXTS = {
    "X does not appear in the text": (
        rf"^(?!.*\d).* (?:does not|do not|did not|never) (?:appears?|comes? up|features?|"
        rf"figures?) (?:anywhere )?(?:in|within) {A}(?:{NAMED}|{KINDS}|story|report)s?\b"
    ),
    "neither X nor Y is stated": (
        rf"^(?!.*\d)neither (?:\w+ ){{1,8}}nor (?:\w+ ){{1,8}}(?:is|are|was|were) (?:{MENTIONED}|"
        rf"given|named|provided|listed)(?:$|,| {IN_TEXT})|"
        rf"^neither (?:{ANY_TEXT}|\w+) nor {A}?\w+ {SAYS}s? (?:so|anything|it|this|that|{WH})"
    ),
    "only Y is stated": (
        rf"^only .* (?:is|are|was|were) (?:{MENTIONED}|given|named|listed|provided|"
        rf"described)\b,? (?:and |but )?not\b"
    ),
    "X is not mentioned in the contract": (
        rf"\b(?:is|are|was|were)(?: not| never| nowhere) {HOW}(?:{MENTIONED}|said|found|given|"
        rf"named|recorded|described|explained|identified|reported|listed|documented|noted) (?:in|"
        rf"by|from|on|within|anywhere in) {SPEAKER}"
    ),
    "the text does not state X": (
        rf"^(?:in |from )?(?:{TEXT}|nowhere)(?:,? it)?(?: \w+(?! and))? (?:(?:do|does|did|would|"
        rf"could) not|never|fails? to|neglects to|omits to) {HOW}{SAYS}s?\b(?: {HOW})?(?:up|"
        rf"of)? ?{LACKED}"
    ),
    "the text does not mention X": (
        rf"^{TEXT}(?: \w+)? (?:does not|do not|never|did not) {HOW}{STRONG}s? (?!.*\d)"
    ),
    "it does not say": (
        rf"^(?:it )?(?:does|did) not {HOW}(?:{STRONG}|appear)(?:$|,| {WH}| {IN_TEXT}| (?:that|"
        rf"this|it|anything|(?:the|a|an|any|his|her|its|their) \w+(?! \w+ed\b))\b(?!.*\d))"
    ),
    "the report does not mention the X": (
        rf"^{SPEAKER}(?: \w+)? (?:does not|do not|never|did not|fails? to|neglects to|"
        rf"omits to) {HOW}(?:{STRONG}|record|report|describe|document|list|give|define)s? (?:the|"
        rf"any|a|an|its|his|her|their)\b(?!.*\d)|"
        rf"^{SPEAKER} (?:skips(?: over)?|omits|leaves out|glosses over|passes over|"
        rf"does not get into) (?:{WH}|(?:the|his|her|its|their|that|this|it)\b)|"
        rf"^{SPEAKER} leaves (?:us|me|one|the reader) (?:guessing|in the dark|wondering|to guess)"
    ),
    "the report does not state the answer": (
        rf"^(?:{SPEAKER}|it|they)(?: \w+)? (?:(?:do|does|did) not|never|fails? to|stops? short of|"
        rf"avoids?|neglects? to|omits? to) {HOW}(?:{SAYS}s?|saying|stating|mentioning|"
        rf"telling)\b ?(?:{HOW})?{LACKED_STRICT}"
    ),
    "nowhere": (
        rf"^(?:nothing (?:\w+ )?(?:is|was) (?:said|mentioned|stated|known|given|indicated|"
        rf"written)|nothing relevant (?:is|was) found|nothing about (?!\w+ (?:was|is)\b)|"
        rf"nowhere (?:in {ANY_TEXT}|does {ANY_TEXT})|nothing {IN_TEXT}|{ANY_TEXT} (?:nowhere|"
        rf"never) {SAYS})"
    ),
    "the text says nothing": (
        rf"^(?:{SPEAKER}|it) (?:says?|gives?|has|have|provides?|contains?|makes?|offers?|states?|"
        rf"includes?|reveals?|holds?|shows?|tells? us) (?:(?:absolutely|simply|"
        rf"just) )?(?:nothing(?: (?:at all|specific|explicit|else|more|further|definite|"
        rf"concrete))?(?=$|,| (?:about|on|of|regarding|concerning|as to|in|to|that|which|when|"
        rf"beyond)\b)|{ENOUGH} (?:{SOME}{INFORMATION}\b(?! of \d)|(?:\w+ )?(?:figures?|names?|"
        rf"dates?|numbers?|reasons?)\b(?=$|,| (?:for|about|on|of)\b)))|"
        rf"^{SPEAKER} (?:gives?|mentions?|states?|names?|specif(?:y|ies)|lists?|"
        rf"provides?) no (?!.*\d)(?:\w+ ?){{1,4}}$|"
        rf"^{SPEAKER} says? (?:very )?little (?:about|on)\b"
    ),
    "the text does not let us know": (
        rf"^(?:{SPEAKER}|it|this|that)(?: \w+)? (?:does not|do not|did not) (?:allow|let|enable|"
        rf"permit|help|make it possible(?: for)?)(?: (?:us|me|one|you|anyone|the reader|"
        rf"a reader))? (?:to )?(?:{TOLD}|give|say|be)\b|"
        rf"^(?:{SPEAKER}|that|this|it|what .*) (?:is|are) (?:not enough|insufficient|"
        rf"not sufficient|too little|too \w+) (?:\w+ )?(?:for \w+ )?to {TOLD}"
    ),
    "the text is silent": (
        rf"^{SPEAKER} (?:(?:is|remains|stays) (?:silent|mute|vague|unclear|not clear|not specific|"
        rf"ambiguous|insufficient|too (?:short|vague))|lacks? (?:\w+ )*{INFORMATION}|"
        rf"leaves? (?:this|that|it|the question) (?:open|unanswered|out)|omits? (?:this|that|it|"
        rf"{WH}))"
    ),
    "the text speaks of something else": (
        rf"^(?:while |although |though |even though )?(?:{SPEAKER}) (?:only |just |"
        rf"merely )?(?:mentions?|says?|states?|talks?|describes?|discusses?|names?|refers?|"
        rf"covers?|is about)\b.*(?:,|\bbut\b|\band\b|\bwithout\b) (?:(?:it )?(?:(?:does|do) not|"
        rf"never|fails to) {HOW}{SAYS}\b|(?:not|nothing about) (?:{WH}|(?:the|his|her|its|their|"
        rf"any)\b)|(?:gives?|says?|contains?|provides?) (?:no|nothing)|saying {WH})"
    ),
    "it is no part of the text": (
        rf"^{IT}(?: is| was)? (?:not|no) (?:something|one of the things|a thing|part of what|what|"
        rf"anything)(?: that| which)? {SPEAKER} {HOW}{SAYS}s?\b|"
        rf"^i do not (?:think|believe|see)(?: that)? {SPEAKER}(?: ever)? {HOW}{SAYS}s?\b"
    ),
    # What no form above foresees: a text, a negation, and a word for telling, in a sentence
    # without figures that does not report what the text says.
    "the text, not, tells": (
        rf"^(?!.*\d)(?!.*\b{A}(?:{NAMED}|report|story)s? (?:\w+ )?(?:says|states|tells|explains|"
        rf"claims|argues|confirms|reports|was|were|is not (?:in|for|to|about)|warns|asks|"
        rf"mentions that)\b)(?=.*\b{A}(?:{NAMED})s?\b)(?=.*\b(?:not|no|never|nothing|nowhere|none|"
        rf"neither|nobody|insufficient|beyond|absent|missing|lacks?|lacking|silent|fails?|omits?|"
        rf"omitted|stops?|short of|without)\b)(?=.*\b(?:sa(?:y|id)|tell|told|mention(?:s|ed)?|"
        rf"state[ds]?|specif\w+|indicat\w+|explicit\w*|answer\w*|information|details?|determin\w+|"
        rf"infer\w*|clarif\w+|reveal\w*|disclos\w+|covers?|covered|discuss\w*|address\w*|"
        rf"identif\w+|clue|hint|clear|explain\w*|reference)\b)"
    ),
    "it goes beyond the text": (
        rf"^{IT} (?:goes|lies|falls) (?:beyond|outside) (?:of )?(?:the scope of )?{ANY_TEXT}|"
        rf"^(?:absent|missing|left out|omitted) (?:from|in|of) {ANY_TEXT}$"
    ),
}
"""Each with what it stands for."""
