"""The forms of refusal that are recognised, as patterns over one sentence in lower case.

English has a form for each way to refuse; what distinguishes a refusal from a claim that sounds
like it is the object: `the text does not mention where ...`, but not `the report does not mention
costs above 900 euros`. Contractions are written out before (`does not`, `can not`).
"""

from benchmarks.scoring.refusal_words import (
    ANY_TEXT,
    CANNOT,
    ENOUGH,
    HERE,
    HOW,
    IN_TEXT,
    INFORMATION,
    IT,
    MENTIONED,
    NAMED,
    NOT,
    OBJECT,
    SAYS,
    SOME,
    SPEAKER,
    STATED,
    TEXT,
    TOLD,
    WE,
    WH,
    A,
)
from benchmarks.scoring.refusals_of_texts import OF_TEXTS

OF_ANSWERS = {
    "one word": (
        r"^(?:(?:n/?a)(?= -| \(|$)|(?:i )?(?:(?:must|have to|will) )?(?:pass|abstain)(?=$)|"
        rf"i would (?:rather|prefer) not (?:to )?(?:guess|say|speculate)|i can not tell you$|"
        rf"i could not tell you$|beats me|hard to (?:say|tell)|"
        r"difficult to (?:say|tell|determine)|(?:n/?a)|unknown|unanswerable|undetermined|"
        r"indeterminate|unspecified|undisclosed|unclear|"
        r"not (?:answerable|available|applicable|known|clear|sure|certain|determinable|enough)|"
        r"idk|dunno|"
        r"(?:i )?(?:have )?no (?:answer|info(?:rmation)?|idea|clue|data|details?)(?: (?:available|"
        r"given|provided|found|here))?|(?:none|nothing|no one|nobody) (?:is |was )?(?:given|stated|"
        r"mentioned|specified|provided|listed|named)|"
        r"(?:i )?(?:don't|do not) know|(?:can't|cannot) (?:say|tell|answer)|"
        rf"(?:(?:not enough|insufficient|missing|lacking) (?:info(?:rmation)?|data|details?|"
        rf"context|evidence)))(?: {IN_TEXT}| -.*| \(.*| for (?:sure|certain))?$"
    ),
    "not stated": (
        rf"^(?:{IT} )?(?:(?:is|was|are|has been|have been) )?(?:not|never|nowhere) "
        rf"{HOW}{STATED}{HERE}|"
        rf"^(?:the )?(?:\w+ )?(?:information|info|answer|data|details?|name|date|age|number|"
        rf"location|reason|price|year|source) not {HOW}{STATED}{HERE}"
    ),
    "in few words": (
        rf"^(?!.*\d)(?:no )(?:\w+ ){{1,3}}(?:{MENTIONED}|given|provided|listed|named|found|"
        rf"included)"
        rf"(?:$| here$| {IN_TEXT})|"
        rf"^(?!.*\d)(?:(?!not|is|are|was|were|has|have|been)\w+ ){{1,3}}not (?:{MENTIONED}|given|"
        rf"provided|listed|named|discussed|included|available)(?:$| here$| anywhere$| {IN_TEXT})|"
        rf"^(?:there (?:is|was) )?(?:not enough|insufficient|too little) (?:information|context|"
        rf"details?|data|evidence)$|^(?:no )?(?:details|specifics|particulars|reasons) (?:is|"
        rf"are) (?:not )?"
        rf"(?:given|provided|included|stated|mentioned)$|"
        rf"^(?:(?:the|that|this|such) )?(?:information|info|answer|context|details?|data|"
        rf"evidence) (?:{IN_TEXT} )?(?:is |are )?(?:insufficient|missing|"
        rf"lacking|unavailable|not (?:sufficient|available|enough))$|"
        rf"^(?!.*\d)(?:the )?(?!the |an? )(?:\w+ ){{1,2}}(?:unknown|unspecified|unstated|"
        rf"undisclosed|"
        rf"unmentioned|unnamed)$"
    ),
    "that detail is not there": (
        rf"^(?:{IT}|(?:that|this|such|the|these|those) (?:\w+ )?(?:fact|detail|information|info|"
        rf"answer|name|topic|subject|point|aspect|matter|issue|thing|item|part|piece of "
        rf"information|question)s?)(?: \w+)? "
        rf"(?:(?:do|does|did) not (?:appear|come up|occur|feature|exist|figure)|"
        rf"(?:is|are|was|were) (?:not|never) {HOW}{STATED}|(?:has|have) (?:not|never) been "
        rf"{HOW}{STATED}){HERE}"
    ),
    "bare X is not discussed": (
        rf"^(?!.*\d)(?!(?:he|she|they|i|we|you|who)\b)(?:\w+ ){{1,4}}(?:is|are) (?:not|never|"
        rf"nowhere) {HOW}(?:{MENTIONED}|discussed|provided)(?:$| at all| here\b| anywhere\b|"
        rf" {IN_TEXT})"
    ),
    "the answer is not there": (
        rf"^(?:{IT} (?:is |was )?)?not (?:to be found |something )?(?:in|within|"
        rf"part of) {ANY_TEXT}|"
        rf"^(?!.*\d).*\b(?:is|are|was|were) not (?:to be found )?(?:in|within|part of) "
        rf"(?:{A}(?:{NAMED}))$|"
        rf"^{IT}.* (?:is|was) (?:not (?:here|there|present)|(?:absent|missing)(?:$| here|"
        rf" from {ANY_TEXT}| in {ANY_TEXT})|(?:outside|beyond) "
        rf"(?:the scope|what {ANY_TEXT}|{TEXT}))(?! from (?!{ANY_TEXT}))"
    ),
    "X is not stated in the text": (
        rf"\b(?:(?:is|are|was|were)(?: not| never| nowhere)|(?:has|have) (?:not|never|"
        rf"nowhere) been) "
        rf"{HOW}{STATED} {IN_TEXT}"
    ),
    "it was left out": (
        rf"^(?:{IT}|(?:that|this|the) \w+) (?:is|was|has been|have been) (?:left out|omitted)\b|"
        rf"^(?:the |this |that ).*\b(?:is|are) nowhere (?:to be (?:found|seen)(?:$| {IN_TEXT})|"
        rf"{IN_TEXT})"
    ),
    "nothing was given": (
        r"^you (?:do not|did not|have not|forgot to) (?:\w+ )?(?:give|given|provided?|shared?|"
        r"attach(?:ed)?|include|included) (?:me |us )?(?:with )?(?:an?|any|the|enough)\b"
    ),
    "X goes unmentioned": (
        rf"^(?!.*\d).*(?<!to )\b(?:is|are|was|were|goes|go|remains?)(?: left)? (?:unsaid|unstated|"
        rf"unmentioned|unspecified|unnamed|undisclosed)(?:$|,| {IN_TEXT}| by {SPEAKER})|"
        rf"^(?!.*\d)(?:the |his |her |its |their |{WH}).* (?:is|are|was|were) never {HOW}"
        rf"(?!answered)(?:{MENTIONED}|given|named|explained|identified|described|made clear)"
        rf"(?:$|,| {IN_TEXT})"
    ),
    "X is a mystery": rf"\b(?:is|remains) (?:\w+ )?(?:a mystery|guesswork|anyone's guess)"
    rf"(?:$| {IN_TEXT}| here\b| to (?:me|us|the reader)\b)",
    "it is not said whether": (
        rf"^it (?:is|was) (?:not|never) {HOW}(?:{MENTIONED}|said|told|made clear|explained|clear) "
        rf"{WH}"
    ),
    "information is missing": (
        rf"^(?:{SOME})(?:information|details?|data|facts) (?:about|on|regarding|concerning|as to) "
        r"(?!.*\d).* (?:is|are) (?:absent|missing|lacking|unavailable|omitted|not (?:available|"
        r"given|provided|included|present|there|found|in))\b"
    ),
    "X is not stated": (
        rf"^(?!{SPEAKER} \w+ that\b)(?:the |this |that |these |any |his |her |its |their |"
        rf"\w+(?:'s|s') |{WH}).*(?:"
        rf"\b(?:is|are)(?: not|n't) {HOW}(?:{MENTIONED}|given|provided|named|listed|explained|"
        rf"identified|known|available|described)|"
        rf"\b(?:was not|were not|has not been|have not been) {HOW}(?!disclosed|revealed|"
        rf"answered){MENTIONED}|"
        rf"(?:is|are) nowhere "
        rf"{STATED})(?:$|,| here\b| anywhere\b)"
    ),
    "X is left open": (
        r"^(?:the |this |that |his |her |its |their |\w+(?:'s|s') ).*\b(?:is|are) (?:left "
        r")?(?:unspecified|unstated|"
        rf"undisclosed|unmentioned|omitted|missing|absent|left (?:open|out))(?:$| {IN_TEXT})"
    ),
    "no X is stated": (
        rf"^(?:no one|nobody) (?:\w+ ){{0,5}}(?:is|was) (?:\w+ ){{0,4}}?{STATED} "
        rf"(?:(?:\w+ ){{0,4}})?{IN_TEXT}|^none of (?:{ANY_TEXT}|this|these|it)(?: \w+)? {SAYS}s?\b|"
        rf"^{SPEAKER} (?:ends|stops|breaks off|is cut off) (?:\w+ )?before\b|"
        rf"^no (?!one)(?:\w+ ){{1,6}}(?:(?:is|are|can be|could be) (?:{STATED})(?:$|,| "
        rf"{IN_TEXT}| here\b| for\b)|"
        rf"(?:was|were|has been) (?:{MENTIONED}|{STATED} {IN_TEXT})|(?:appears?|exists?) "
        rf"{IN_TEXT})"
    ),
    "there is no information": (
        rf"^(?:there (?:is|are|was|were|seems to be|appears to be) |there's |i (?:have|see|find|"
        rf"found) |i've )?{ENOUGH} {SOME}"
        rf"(?:(?:information|info|mention|reference|(?<!was no )answer|details?|"
        rf"specifics)\b(?=$|,| (?:is|are|"
        rf"was|were|about|on|of|regarding|concerning|in|within|given|provided|available|{IN_TEXT}|"
        rf"found|here|to|that|for|as|can|could|has|which|what|who|when|where|why|how)\b)(?! "
        rf"(?:was|were) (?!{MENTIONED}|found|given in|provided))|"
        rf"(?:indication|clue|hint|explanation|description|word|sign) (?:of|about|as to|"
        rf"regarding|on) "
        rf"{WH}|(?<!was no )answer to\b|{INFORMATION} (?:.* )?{IN_TEXT}|(?:context|data|"
        rf"evidence|basis|way) (?:here|to (?:be "
        rf")?{TOLD}|is given|is provided|given|provided|for))"
    ),
    "there isn't information": (
        rf"^(?:there (?:is|are|was|were){NOT}|i (?:do|did|could|can){NOT} (?:have|see|find)|i "
        rf"cannot (?:see|find)) "
        rf"(?:any |enough |sufficient |a |an |the |access to )*{SOME}{INFORMATION}\b"
    ),
    "there is nothing": (
        rf"^(?:there (?:is|was) )?nothing (?:here |{IN_TEXT} )?(?:to (?:indicate|suggest|show|"
        rf"say|tell|"
        rf"go on|go by)|(?:indicates|suggests|says|tells|shows)|that (?:would )?(?:indicates?|"
        rf"suggests?|says?|tells?|shows?|answers?))\b|"
        rf"^no such \w+ (?:is|exists|appears|occurs)\b(?:.*{IN_TEXT}|.* in {SPEAKER})|"
        rf"^(?:there (?:is|are)|{SPEAKER} (?:contains|has|includes)) no \w+ (?:on|about|regarding|"
        rf"concerning) (?:that|this|it)\b|"
        rf"^there (?:is|was) (?:nothing|no \w+(?: \w+){{0,4}}|no one named \w+) (?:mentioned |"
        rf"said |stated |given )?{IN_TEXT}"
    ),
    "we are not told": (
        rf"^{WE} (?:(?:is|are|was|were|am|have|has)(?: never| not)(?: been)?) (?:told|given|"
        rf"provided|informed|shown)\b|"
        rf"^{WE} (?:would|can|could|will) (?:(?:only|just|merely|have to|be) )+(?:"
        rf"speculat|guess)\w*|"
        rf"^{WE} (?:do|did|can|could|does)(?: not|not) (?:see|find)\b.*{IN_TEXT}"
    ),
    "I do not know": (
        rf"^{WE} (?:(?:really |honestly |simply |just )?(?:do|did)(?: not|n't) (?:really |"
        rf"actually |quite )?(?:know|understand)(?: the answer\b.*| enough\b.*|{OBJECT})|"
        r"(?:am|'m)(?: \w+)? (?:not (?:\w+ )?(?:sure|certain|aware)|unsure|uncertain|unaware|"
        r"clueless)\b(?! of (?!this|that|it|the answer)| i (?!can|could|know|have))|"
        r"would not know$|"
        r"(?:have|'ve) (?:absolutely )?no (?:idea|information|way|clue|knowledge|answer|data|"
        r"access)|lack (?:the )?(?:\w+ )?(?:information|context|details?|data)|"
        rf"(?:do|did)(?: not|n't) have (?:(?:the |any |enough |sufficient |that |this )+"
        rf"{SOME}(?:{INFORMATION}|document|text|knowledge)\b|access (?:to|$))|"
        rf"(?:would |will )?need (?:more|additional|further) (?:\w+ )?{INFORMATION})"
    ),
    "I cannot tell": (
        rf"^{WE}(?: \w+ly)? {CANNOT} (?:\w+ly )?(?:{TOLD}|see|give|provide|offer|make out|"
        rf"discern|respond|state|complete|help|assist|predict|create|describe|draw){OBJECT}"
    ),
    "I cannot determine X": (
        rf"^{WE}(?: \w+ly)? {CANNOT} (?:\w+ly )?(?:determine|infer|ascertain|deduce|confirm) "
        rf"(?:the|his|her|its|their)\b"
    ),
    "I find nothing": (
        rf"^i (?:can |could |have )?(?:only )?(?:see|find|found|saw) (?:no|nothing)\b.*{IN_TEXT}|"
        rf"^(?:i )?(?:can |could |have )?(?:see|find|found|saw) (?:nothing|no {SOME}{INFORMATION})"
        rf"(?:$| (?:about|on|of|regarding|concerning|to that)\b)|"
        rf"^i {CANNOT} (?:find|see|locate)\b(?: (?:that|it|this)\b)?.* (?:in|within) {ANY_TEXT}"
    ),
    "nobody knows": (
        rf"^(?:no one|nobody|nothing) (?:is|was) (?:said|stated|reported|known) to (?:have|"
        rf"be)\b(?!.*\d)|"
        rf"^(?:no one|nobody) (?:knows|can (?:say|tell|know))(?:$|,| {IN_TEXT}| from\b| {WH})|"
        rf"^not (?:something|a thing) (?:that )?{WE} (?:can|could|know)\b"
    ),
    "without more": (rf"^without (?:\w+ ){{0,3}}{INFORMATION},? {WE} (?:{CANNOT}|do not know)\b"),
    "it cannot be told": (
        rf"^{IT}(?: \w+)? (?:{CANNOT} be (?:\w+ly )?{TOLD}|(?:is|was|remains|'s) (?:\w+ly "
        rf")?(?:impossible|not possible|"
        rf"unclear|not clear|unknown|not known(?! (?:as|for|to))|uncertain|unanswerable|"
        rf"not answerable|"
        rf"unspecified|unstated|(?:hard|difficult) to (?:say|tell|determine|know)|not something)"
        rf"(?:$|,| to (?:me\b.*|us\b.*|(?:be )?{TOLD})| for me| {IN_TEXT}| (?:who|what|when|"
        rf"where|why|how|which|whether)\b|"
        rf" (?:from|based|given|as|because|since)\b))|^it's (?:unclear|unknown|not clear|"
        rf"impossible|not possible)\b(?! (?:if|whether))"
    ),
    "X cannot be told": (
        rf"^(?!.*\b(?:both|exactly|ever|directly from \w+ed)\b).*\b{CANNOT} be (?:\w+ly "
        rf")?(?:determined|answered|inferred|ascertained|"
        rf"deduced|concluded|answered|verified|confirmed)(?:$|,| {IN_TEXT}| (?:from|without|"
        rf"using|based|as|because|since|due)\b)"
    ),
    "X is unknown": (
        rf"^(?:the |his |her |its |their |\w+(?:'s|s') |{WH} ).*\b(?:is|are|remains?) (?:unknown|"
        rf"unclear|uncertain|not known|not clear)(?:$|,? {IN_TEXT})"
    ),
    "cannot tell": (
        rf"^(?:{CANNOT}|unable to|(?:it's |it is )?(?:impossible|not possible) to) (?:\w+ly "
        rf")?(?:be )?(?:{TOLD}|give|provide){OBJECT}"
    ),
    # What no form above foresees: a text, a negation, and a word for telling, in a sentence
    # without figures that does not report what the text says.
    "more is needed": (
        rf"^(?:(?:more|additional|further) (?:\w+ )?{INFORMATION} (?:is|are|would be) (?:needed|"
        rf"required|necessary)|"
        rf"(?:please|could you|can you|i need you to) (?:please )?(?:provide|give|share|supply|"
        rf"send)\b.*(?:{INFORMATION}|{NAMED}))"
    ),
    "the question has no answer": (
        r"^(?:the|this|that|your) question(?: \w+)? (?:(?:is|was) (?:\w+ly )?(?:unanswerable|not "
        r"(?:answer(?:ed|able)|addressed|covered))|"
        r"(?:has|have) no answer|(?:can ?not|can't) be|goes beyond|is (?:not related|unrelated|"
        r"irrelevant)|does not (?:relate|concern)|(?:isn't|wasn't) (?:answered|addressed|"
        r"covered))"
    ),
}
"""Forms that speak of the answer, of the question or of who is asked."""

ENGLISH = {**OF_ANSWERS, **OF_TEXTS}
"""Forms of refusal in English, each with what it stands for."""
