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
        rf"^(?:(?:i )?(?:(?:must|have to|will) )?(?:pass|abstain)(?=$)|i would (?:rather|"
        rf"prefer) not (?:to )?(?:guess|say|speculate)|i (?:can|could) not tell you$|beats me|"
        rf"hard to (?:say|tell)|difficult to (?:say|tell|determine)|(?:n/?a)|unknown|unanswerable|"
        rf"undetermined|indeterminate|unspecified|undisclosed|unclear|not (?:answerable|available|"
        rf"applicable|known|clear|sure|certain|determinable|enough)|idk|dunno|"
        rf"(?:i )?(?:have )?no (?:answer|info(?:rmation)?|idea|clue|data|details?)(?: "
        rf"(?:available|given|provided|found|here))?|(?:none|nothing|no one|nobody) (?:is |"
        rf"was )?(?:given|stated|mentioned|specified|provided|listed|named)|(?:i )?do not know|"
        rf"cannot (?:say|tell|answer)|(?:(?:not enough|insufficient|missing|lacking) "
        rf"(?:info(?:rmation)?|data|details?|context|evidence)))(?: {IN_TEXT}| -.*| \(.*|"
        rf" for (?:sure|certain))?$"
    ),
    "not stated": (
        rf"^(?:{IT} )?(?:(?:is|was|are|has been|have been) )?(?:not|never|nowhere) "
        rf"{HOW}{STATED}{HERE}|"
        rf"^(?:the )?(?:\w+ )?(?:information|info|answer|data|details?|name|date|age|number|"
        rf"location|reason|price|year|source) not {HOW}{STATED}{HERE}"
    ),
    "in few words": (
        rf"^(?!.*\d)(?:no )(?:\w+ ){{1,3}}(?:{MENTIONED}|given|provided|listed|named|found|"
        rf"included)(?:$| here$| {IN_TEXT})|"
        rf"^(?!.*\d)(?:(?!not|is|are|was|were|has|have|been)\w+ ){{1,3}}not (?:{MENTIONED}|given|"
        rf"provided|listed|named|discussed|included|available)(?:$| here$| anywhere$| {IN_TEXT})|"
        rf"^(?:there (?:is|was) )?(?:not enough|insufficient|too little) (?:information|context|"
        rf"details?|data|evidence)$|"
        rf"^(?:no )?(?:details|specifics|particulars|reasons) (?:is|are) (?:not )?(?:given|"
        rf"provided|included|stated|mentioned)$|"
        rf"^(?:(?:the|that|this|such) )?(?:information|info|answer|context|details?|data|"
        rf"evidence) (?:{IN_TEXT} )?(?:is |are )?(?:insufficient|missing|lacking|unavailable|"
        rf"not (?:sufficient|available|enough))$|"
        rf"^(?!.*\d)(?:the )?(?!the |an? )(?:\w+ ){{1,2}}(?:unknown|unspecified|unstated|"
        rf"undisclosed|unmentioned|unnamed)$"
    ),
    "that detail is not there": (
        rf"^(?:{IT}|(?:that|this|such|the|these|those) (?:\w+ )?(?:fact|detail|information|info|"
        rf"answer|name|topic|subject|point|aspect|matter|issue|thing|item|part|"
        rf"piece of information|question)s?)(?: \w+)? (?:(?:do|does|did) not (?:appear|come up|"
        rf"occur|feature|exist|figure)|(?:is|are|was|were) (?:not|never) {HOW}{STATED}|(?:has|"
        rf"have) (?:not|never) been {HOW}{STATED}){HERE}"
    ),
    "bare X is not discussed": (
        rf"^(?!.*\d)(?!(?:he|she|they|i|we|you|who)\b)(?:\w+ ){{1,4}}(?:is|are) (?:not|never|"
        rf"nowhere) {HOW}(?:{MENTIONED}|discussed|provided)(?:$| at all| here\b| anywhere\b|"
        rf" {IN_TEXT})"
    ),
    "the answer is not there": (
        rf"^(?:{IT} (?:is |was )?)?not (?:to be found |something )?(?:in|within|"
        rf"part of) {ANY_TEXT}|"
        rf"^(?!.*\d).*\b(?:is|are|was|were) not (?:to be found )?(?:in|within|"
        rf"part of) (?:{A}(?:{NAMED}))$|"
        rf"^{IT}.* (?:is|was) (?:not (?:here|there|present)|(?:absent|missing)(?:$| here|"
        rf" from {ANY_TEXT}| in {ANY_TEXT})|(?:outside|beyond) (?:the scope|what {ANY_TEXT}|"
        rf"{TEXT}))(?! from (?!{ANY_TEXT}))"
    ),
    "X is not stated in the text": (
        rf"\b(?:(?:is|are|was|were)(?: not| never| nowhere)|(?:has|have) (?:not|never|"
        rf"nowhere) been) {HOW}{STATED} {IN_TEXT}"
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
        rf"^(?!.*\d)(?:the |his |her |its |their |{WH}).* (?:is|are|was|were) never "
        rf"{HOW}(?!answered)(?:{MENTIONED}|given|named|explained|identified|described|"
        rf"made clear)(?:$|,| {IN_TEXT})"
    ),
    "X is a mystery": (
        rf"\b(?:is|remains) (?:\w+ )?(?:a mystery|guesswork|anyone's guess)(?:$| {IN_TEXT}|"
        rf" here\b| to (?:me|us|the reader)\b)"
    ),
    "it is not said whether": (
        rf"^it (?:is|was) (?:not|never) {HOW}(?:{MENTIONED}|said|told|made clear|explained|"
        rf"clear) {WH}"
    ),
    "information is missing": (
        rf"^(?:{SOME})(?:information|details?|data|facts) (?:about|on|regarding|concerning|"
        rf"as to) (?!.*\d).* (?:is|are) (?:absent|missing|lacking|unavailable|omitted|"
        rf"not (?:available|given|provided|included|present|there|found|in))\b"
    ),
    "X is not stated": (
        rf"^(?!{SPEAKER} \w+ that\b)(?:the |this |that |these |any |his |her |its |their |"
        rf"\w+(?:'s|s') |{WH}).*(?:\b(?:is|are) not {HOW}(?:{MENTIONED}|given|provided|named|"
        rf"listed|explained|identified|known|available|described)|\b(?:was not|were not|"
        rf"has not been|have not been) {HOW}(?!disclosed|revealed|answered){MENTIONED}|(?:is|"
        rf"are) nowhere {STATED})(?:$|,| here\b| anywhere\b)"
    ),
    "X is left open": (
        rf"^(?:the |this |that |his |her |its |their |\w+(?:'s|s') ).*\b(?:is|"
        rf"are) (?:left )?(?:unspecified|unstated|undisclosed|unmentioned|omitted|missing|absent|"
        rf"left (?:open|out))(?:$| {IN_TEXT})"
    ),
    "no X is stated": (
        rf"^(?:no one|nobody) (?:\w+ ){{0,5}}(?:is|was) (?:\w+ ){{0,4}}?{STATED} (?:(?:\w+ "
        rf"){{0,4}})?{IN_TEXT}|"
        rf"^none of (?:{ANY_TEXT}|this|these|it)(?: \w+)? {SAYS}s?\b|^{SPEAKER} (?:ends|stops|"
        rf"breaks off|is cut off) (?:\w+ )?before\b|"
        rf"^no (?!one)(?:\w+ ){{1,6}}(?:(?:is|are|can be|could be) (?:{STATED})(?:$|,| {IN_TEXT}|"
        rf" here\b| for\b)|(?:was|were|has been) (?:{MENTIONED}|{STATED} {IN_TEXT})|(?:appears?|"
        rf"exists?) {IN_TEXT})"
    ),
    "there is no information": (
        rf"^(?:there (?:is|are|was|were|seems to be|appears to be) |i (?:have|see|find|"
        rf"found) )?{ENOUGH} {SOME}(?:(?:information|info|mention|reference|(?<!was no )answer|"
        rf"details?|specifics)\b(?=$|,| (?:is|are|was|were|about|on|of|regarding|concerning|in|"
        rf"within|given|provided|available|{IN_TEXT}|found|here|to|that|for|as|can|could|has|"
        rf"which|what|who|when|where|why|how)\b)(?! (?:was|were) (?!{MENTIONED}|found|given in|"
        rf"provided))|(?:indication|clue|hint|explanation|description|word|sign) (?:of|about|"
        rf"as to|regarding|on) {WH}|(?<!was no )answer to\b|{INFORMATION} (?:.* )?{IN_TEXT}|"
        rf"(?:context|data|evidence|basis|way) (?:here|to (?:be )?{TOLD}|is given|is provided|"
        rf"given|provided|for))"
    ),
    "there isn't information": (
        rf"^(?:there (?:is|are|was|were) not|i (?:do|did|could|can) not (?:have|see|find)|"
        rf"i cannot (?:see|find)) (?:any |enough |sufficient |a |an |the |access to "
        rf")*{SOME}{INFORMATION}\b"
    ),
    "there is nothing": (
        rf"^(?:there (?:is|was) )?nothing (?:here |{IN_TEXT} )?(?:to (?:indicate|suggest|show|say|"
        rf"tell|go on|go by)|(?:indicates|suggests|says|tells|shows)|that (?:would "
        rf")?(?:indicates?|suggests?|says?|tells?|shows?|answers?))\b|"
        rf"^no such \w+ (?:is|exists|appears|occurs)\b(?:.*{IN_TEXT}|.* in {SPEAKER})|"
        rf"^(?:there (?:is|are)|{SPEAKER} (?:contains|has|includes)) no \w+ (?:on|about|regarding|"
        rf"concerning) (?:that|this|it)\b|"
        rf"^there (?:is|was) (?:nothing|no \w+(?: \w+){{0,4}}|no one named \w+) (?:mentioned |"
        rf"said |stated |given )?{IN_TEXT}"
    ),
    "we are not told": (
        rf"^{WE} (?:(?:is|are|was|were|am|have|has)(?: never| not)(?: been)?) (?:told|given|"
        rf"provided|informed|shown)\b|"
        rf"^{WE} (?:would|can|could|will) (?:(?:only|just|merely|have to|be) )+(?:speculat|"
        rf"guess)\w*|"
        rf"^{WE} (?:do|did|can|could|does)(?: not|not) (?:see|find)\b.*{IN_TEXT}"
    ),
    "I do not know": (
        rf"^{WE} (?:(?:really |honestly |simply |just )?(?:do|did) not (?:really |actually |"
        rf"quite )?(?:know|understand)(?: the answer\b.*| enough\b.*|{OBJECT})|"
        rf"am(?: \w+)? (?:not (?:\w+ )?(?:sure|certain|aware)|unsure|uncertain|unaware|"
        rf"clueless)\b(?! of (?!this|that|it|the answer)| i (?!can|could|know|have))|"
        rf"would not know$|have (?:absolutely )?no (?:idea|information|way|clue|knowledge|answer|"
        rf"data|access)|lack (?:the )?(?:\w+ )?(?:information|context|details?|data)|(?:do|"
        rf"did) not have (?:(?:the |any |enough |sufficient |that |this )+{SOME}(?:{INFORMATION}|"
        rf"document|text|knowledge)\b|access (?:to|$))|(?:would |will )?need (?:more|additional|"
        rf"further) (?:\w+ )?{INFORMATION})"
    ),
    "I cannot tell": (
        rf"^{WE}(?: \w+ly)? {CANNOT} (?:\w+ly )?(?:{TOLD}|see|give|provide|offer|make out|discern|"
        rf"respond|state|complete|help|assist|predict|create|describe|draw){OBJECT}"
    ),
    "I cannot determine X": (
        rf"^{WE}(?: \w+ly)? {CANNOT} (?:\w+ly )?(?:determine|infer|ascertain|deduce|"
        rf"confirm) (?:the|his|her|its|their)\b"
    ),
    "I find nothing": (
        rf"^i (?:can |could |have )?(?:only )?(?:see|find|found|saw) (?:no|nothing)\b.*{IN_TEXT}|"
        rf"^(?:i )?(?:can |could |have )?(?:see|find|found|saw) (?:nothing|no "
        rf"{SOME}{INFORMATION})(?:$| (?:about|on|of|regarding|concerning|to that)\b)|"
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
        rf"^{IT}(?: \w+)? (?:{CANNOT} be (?:\w+ly )?{TOLD}|(?:is|was|remains) (?:\w+ly "
        rf")?(?:impossible|not possible|unclear|not clear|unknown|not known(?! (?:as|for|to))|"
        rf"uncertain|unanswerable|not answerable|unspecified|unstated|(?:hard|"
        rf"difficult) to (?:say|tell|determine|know)|not something)(?:$|,| to (?:me\b.*|us\b.*|"
        rf"(?:be )?{TOLD})| for me| {IN_TEXT}| (?:who|what|when|where|why|how|which|whether)\b|"
        rf" (?:from|based|given|as|because|since)\b))"
    ),
    "X cannot be told": (
        rf"^(?!.*\b(?:both|exactly|ever|directly from \w+ed)\b).*\b{CANNOT} be (?:\w+ly "
        rf")?(?:determined|answered|inferred|ascertained|deduced|concluded|answered|verified|"
        rf"confirmed)(?:$|,| {IN_TEXT}| (?:from|without|using|based|as|because|since|due)\b)"
    ),
    "X is unknown": (
        rf"^(?:the |his |her |its |their |\w+(?:'s|s') |{WH} ).*\b(?:is|are|remains?) (?:unknown|"
        rf"unclear|uncertain|not known|not clear)(?:$|,? {IN_TEXT})"
    ),
    "cannot tell": (
        rf"^(?:{CANNOT}|unable to|(?:it is )?(?:impossible|not possible) to) (?:\w+ly )?(?:be "
        rf")?(?:{TOLD}|give|provide){OBJECT}"
    ),
    "more is needed": (
        rf"^(?:(?:more|additional|further) (?:\w+ )?{INFORMATION} (?:is|are|would be) (?:needed|"
        rf"required|necessary)|(?:please|could you|can you|i need you to) (?:please )?(?:provide|"
        rf"give|share|supply|send)\b.*(?:{INFORMATION}|{NAMED}))"
    ),
    "the question has no answer": (
        r"^(?:the|this|that|your) question(?: \w+)? (?:(?:is|was) (?:\w+ly )?(?:unanswerable|"
        r"not (?:answer(?:ed|able)|addressed|covered))|(?:has|have) no answer|can ?not be|"
        r"goes beyond|is (?:not related|unrelated|irrelevant)|does not (?:relate|concern))"
    ),
}
"""Forms that speak of the answer, of the question or of who is asked."""

ENGLISH = {**OF_ANSWERS, **OF_TEXTS}
"""Forms of refusal in English, each with what it stands for."""
