"""The forms of refusal that are recognised, as patterns over one sentence in lower case.

English has a form for each way to refuse; what distinguishes a refusal from a claim that sounds
like it is the object: `the text does not mention where ...`, but not `the report does not mention
costs above 900 euros`. Contractions are written out before (`does not`, `can not`).
"""

_NAMED = "text|passage|context|document|article|paragraph|excerpt|extract|snippet|material|input"
_ANY = (
    f"{_NAMED}|story|narrative|report|source|information|knowledge|data|content|"
    "letter|page|author|writer|narrator|speaker"
)
_GIVEN = "(?:given|provided|above|supplied|present|available|following|short|whole|entire|source) "
_A = f"(?:(?:the|this|that|your|any|these|those) (?:{_GIVEN})*|{_GIVEN}+)"
_TAIL = (
    r"(?: (?:(?:you|that was|that is|i was) )?(?:gave(?: me)?|provided|given|above|alone|itself))?"
)
TEXT = rf"(?:{_A}?(?:{_NAMED})s?\b{_TAIL})"
_TEXT = rf"(?:{_A}(?:{_ANY})s?\b{_TAIL})"
_OF_TEXT = rf"(?:{_A}(?:{_ANY})s?\b{_TAIL}|what (?:is|was) \w+)"
_IN_TEXT = rf"(?:\w+ )?(?:in|by|within|from|on|with|using|based on|anywhere in) {_OF_TEXT}"
_HERE = rf"(?:$|,| -| {_IN_TEXT}| here\b| anywhere\b| so\b| and\b)"
_HOW = (
    r"(?:(?:explicitly|directly|clearly|specifically|actually|ever|really|even|further|anywhere|"
    r"yet) )*"
)
_MENTIONED = r"(?:mentioned|stated|specified|disclosed|indicated|revealed|addressed|answered)"
_STATED = (
    rf"(?:{_MENTIONED}|given|provided|said|found|included|known|described|discussed|available|"
    r"contained|present|covered|listed|named|identified|recorded|explained|established|defined|"
    r"clear|"
    r"supplied|noted|reported|detailed|written|shown|determinable|answerable|inferable)"
)
_SAYS = (
    r"(?:say|state|mention|specify|provide|give|contain|include|indicate|tell|reveal|discuss|"
    r"address|"
    r"answer|explain|describe|disclose|identify|name|list|have|offer|make|cover|supply|clarify|"
    r"touch|"
    r"refer|go into|report|note|define|elaborate|supply|hold|show|talk)"
)
_WH = r"(?:who(?:se|m)?|what|when|where|why|how|which|whether|if)\b"
_INFORMATION = (
    r"(?:information|info|mention|details?|answers?|indication|evidence|data|context|clues?|hints?|"
    r"reference|facts|explanation|specifics|record|statement|description|basis|way|wording)"
)
_ENOUGH = r"(?:no|not enough|insufficient|not sufficient|too little|nothing|not any|little)"
_SOME = (
    r"(?:(?:specific|relevant|further|such|direct|explicit|clear|other|actual|more|additional|"
    r"useful) )*"
)
# What a text is said to lack: a question, information, or a plain thing without a number.
_LACKED = (
    rf"(?:(?:us |me |you |the reader )?{_WH}|(?:us|me|you)\b|(?:to|about|on|into) |(?:the|any|an|"
    rf"a|this|that|it|its|his|her|their|such|enough|"
    rf"sufficient|anything|specific|explicit|details?|information|\w+(?:'s|s'))\b(?!.*\d)|$|,)"
)
_STRONG = (
    r"(?:say|state|mention|specify|indicate|provide|reveal|discuss|address|tell|disclose|clarify|"
    r"explain|talk about)"
)
_LACKED_STRICT = (
    rf"(?:(?:us |me |you )?{_WH}|(?:to|about|on) |(?:anything|enough|sufficient|this|that|it)\b|"
    rf"(?:any |the |an |enough )?{_SOME}{_INFORMATION}\b(?!.*\d)|$)"
)
_TOLD = (
    r"(?:determined?|answer(?:ed)?|known?|found|find|infer(?:red)?|said|say|told?|tell|"
    r"established?|conclude[d]?|deduced?|derived?|ascertain(?:ed)?|identif(?:y|ied)|locate[d]?|"
    r"confirm(?:ed)?|verif(?:y|ied)|be (?:sure|certain)|work(?:ed)? out|judged?)\b"
)
_CANNOT = (
    r"(?:can ?not|can't|cant|could not|couldn't|(?:am|'m|was|were|are) (?:unable|not able) to|"
    r"wasn't able to|would not be able to|have been unable to|have not been able to|failed to)"
)
_NOT = r"(?: not|n't)"
_WE = r"(?:i|we|one|you|the reader)"
_IT = (
    r"(?:it|this|that|there|the (?:\w+ )?(?:answer|question|information|detail)s?(?: (?:needed|"
    r"required|necessary))?(?: to (?:(?:this|the|your) )?\w+(?: (?:this|the|your) \w+)?)?|the "
    r"correct answer)"
)
# After `I cannot tell`: nothing, a question, a text or information, but no thing of the world.
_OBJECT = (
    rf"(?:$|,| {_WH}| {_IN_TEXT}| (?:from|based|given|without|with|because|since|as|due|so|for "
    rf"sure|for certain)\b|"
    rf" (?:this|that|it|these)(?: one| question| information)?(?:$|,| from| based| because| as|"
    rf"{_IN_TEXT})| (?:your (?:question|request)|the (?:question|answer)|the (?:exact )?\w+(?: "
    rf"\w+)? (?:of|for|in|from|without|based)|"
    rf"(?:an?|any|the|such|enough|sufficient) {_SOME}{_INFORMATION}|information|anything|any\b|"
    rf"an? \w+(?: \w+){{0,4}} (?:without|because|as there|as no)|the (?:given|provided|attached)|"
    r"an? (?:definitive|certain|correct|precise|exact|specific) answer)\b)"
)

ENGLISH = {
    "one word": (
        r"^(?:(?:n/?a)(?= -| \(|$)|(?:i )?(?:pass|abstain)(?=$)|beats me|hard to (?:say|tell)|"
        r"difficult to (?:say|tell|determine)|(?:n/?a)|unknown|unanswerable|undetermined|"
        r"indeterminate|unspecified|undisclosed|unclear|"
        r"not (?:answerable|available|applicable|known|clear|sure|certain|determinable|enough)|"
        r"idk|dunno|"
        r"(?:i )?(?:have )?no (?:answer|info(?:rmation)?|idea|clue|data)(?: (?:available|given|"
        r"provided|found|here))?|"
        r"(?:i )?(?:don't|do not) know|(?:can't|cannot) (?:say|tell|answer)|"
        rf"(?:(?:not enough|insufficient|missing|lacking) (?:info(?:rmation)?|data|details?|"
        rf"context|evidence)))(?: {_IN_TEXT}| -.*| \(.*| for (?:sure|certain))?$"
    ),
    "not stated": (
        rf"^(?:{_IT} )?(?:(?:is|was|are|has been|have been) )?(?:not|never|nowhere) "
        rf"{_HOW}{_STATED}{_HERE}|"
        rf"^(?:the )?(?:\w+ )?(?:information|info|answer|data|details?|name|date|age|number|"
        rf"location|reason|price|year|source) not {_HOW}{_STATED}{_HERE}"
    ),
    "the answer is not there": (
        rf"^(?:{_IT} (?:is |was )?)?not (?:to be found |something )?(?:in|within|part of) {_TEXT}|"
        rf"^(?!.*\d).*\b(?:is|are|was|were) not (?:to be found )?(?:in|within|part of) "
        rf"(?:{_A}(?:{_NAMED}))$|"
        rf"^{_IT}.* (?:is|was) (?:not (?:here|there|present)|absent|missing|(?:outside|beyond) "
        rf"the scope)"
    ),
    "X is not stated in the text": (
        rf"\b(?:is|are|was|were|has been|have been)(?: not|n't|(?: not|n't) been| never| nowhere) "
        rf"{_HOW}{_STATED} {_IN_TEXT}"
    ),
    "X is not stated": (
        rf"^(?:the |this |that |these |any |his |her |its |their |\w+(?:'s|s') |{_WH}).*(?:"
        rf"\b(?:is|are)(?: not|n't) {_HOW}(?:{_MENTIONED}|given|provided|named|listed|explained|"
        rf"identified|known|available|described)|"
        rf"\b(?:was|were|has been)(?: not|n't) {_HOW}{_MENTIONED}|(?:is|are) nowhere "
        rf"{_STATED})(?:$|,| here\b| anywhere\b)"
    ),
    "X is left open": (
        r"^(?:the |this |that |his |her |its |their |\w+(?:'s|s') ).*\b(?:is|are) (?:left "
        r")?(?:unspecified|unstated|"
        rf"undisclosed|unmentioned|omitted|missing|absent|left (?:open|out))(?:$| {_IN_TEXT})"
    ),
    "no X is stated": (
        rf"^no one (?:\w+ ){{1,5}}is {_STATED} {_IN_TEXT}|^none of {_A}(?:{_NAMED})s (?:\w+ "
        rf")?{_SAYS}s?\b|"
        rf"^no (?!one)(?:\w+ ){{1,6}}(?:(?:is|are|can be|could be) (?:{_STATED})(?:$|,| "
        rf"{_IN_TEXT}| here\b)|"
        rf"(?:was|were|has been) (?:{_MENTIONED}|{_STATED} {_IN_TEXT})|(?:appears?|exists?) "
        rf"{_IN_TEXT})"
    ),
    "the text does not state X": (
        rf"^(?:in |from )?(?:{TEXT}|nowhere)(?:,? it)?(?: \w+(?! and))? (?:(?:do|does|did|would|"
        rf"could){_NOT}|never|fails? to|"
        rf"neglects to|omits to) {_HOW}{_SAYS}s?\b(?: {_HOW})?(?:up|of)? ?{_LACKED}"
    ),
    "the text does not mention X": (
        rf"^{TEXT}(?: \w+)? (?:does not|do not|never|did not) {_HOW}{_STRONG}s? (?!.*\d)"
    ),
    "it does not say": (
        rf"^(?:it )?(?:does|did) not {_HOW}(?:{_STRONG}|appear)(?:$|,| {_WH}| {_IN_TEXT}| (?:that|"
        rf"this|it|anything)\b)"
    ),
    "the report does not mention the X": (
        rf"^{_TEXT}(?: \w+)? (?:does not|do not|never|did not) {_HOW}{_STRONG}s? (?:the|any|a|an|"
        rf"its|his|her|their)\b(?!.*\d)"
    ),
    "the report does not state the answer": (
        rf"^(?:{_TEXT}|it|they)(?: \w+)? (?:(?:do|does|did){_NOT}|never|fails? to) "
        rf"{_HOW}{_SAYS}s?\b "
        rf"?(?:{_HOW})?{_LACKED_STRICT}"
    ),
    "nowhere": (
        rf"^(?:nothing (?:\w+ )?(?:is|was) (?:said|mentioned|stated|known|given|indicated|"
        rf"written)|nothing about\b|nowhere (?:in {_TEXT}|does {_TEXT})|nothing {_IN_TEXT}|"
        rf"{_TEXT} (?:nowhere|never) {_SAYS})"
    ),
    "the text says nothing": (
        rf"^(?:{_TEXT}|it) (?:says?|gives?|has|have|provides?|contains?|makes?|offers?|states?|"
        rf"includes?|"
        rf"reveals?|holds?|shows?|tells? us) (?:(?:absolutely|simply|just) )?(?:nothing\b|"
        rf"{_ENOUGH} {_SOME}{_INFORMATION}\b(?! of \d))"
    ),
    "the text is silent": (
        rf"^{_TEXT} (?:(?:is|remains|stays) (?:silent|mute|vague|unclear|insufficient|too "
        rf"(?:short|vague))|"
        rf"lacks? (?:\w+ )*{_INFORMATION}|leaves? (?:this|that|it|the question) (?:open|"
        rf"unanswered|out)|omits? (?:this|that|it|{_WH}))"
    ),
    "the text speaks of something else": (
        rf"^(?:while |although |though |even though )?(?:{_TEXT}) (?:only |just |merely "
        rf")?(?:mentions?|says?|states?|talks?|describes?|discusses?|names?|refers?|covers?|is "
        rf"about)"
        rf"\b.*(?:,|\bbut\b|\band\b|\bwithout\b) (?:(?:it )?(?:(?:does|do){_NOT}|never|fails to) "
        rf"{_HOW}{_SAYS}\b|"
        rf"(?:not|nothing about) {_WH}|(?:gives?|says?|contains?|provides?) (?:no|nothing)|saying "
        rf"{_WH})"
    ),
    "there is no information": (
        rf"^(?:there (?:is|are|was|were|seems to be|appears to be) |there's |i (?:have|see|find|"
        rf"found) |i've )?{_ENOUGH} {_SOME}"
        rf"(?:(?:information|info|mention|reference|answer|details?|specifics)\b(?=$|,| (?:is|are|"
        rf"was|were|about|on|of|regarding|concerning|in|within|from|given|provided|available|"
        rf"found|here|to|that|for|as|can|could|has|which|what|who|when|where|why|how)\b)(?! "
        rf"(?:was|were) (?!{_MENTIONED}|found|given in|provided))|"
        rf"{_INFORMATION} (?:.* )?{_IN_TEXT}|(?:context|data|evidence|basis|way) (?:here|to (?:be "
        rf")?{_TOLD}|is given|is provided|given|provided|for))"
    ),
    "there isn't information": (
        rf"^(?:there (?:is|are|was|were){_NOT}|i (?:do|did|could|can){_NOT} (?:have|see|find)|i "
        rf"cannot (?:see|find)) "
        rf"(?:any |enough |sufficient |a |an |the |access to )*{_SOME}{_INFORMATION}\b"
    ),
    "there is nothing": (
        rf"^there (?:is|was) (?:nothing|no \w+(?: \w+){{0,4}}|no one named \w+) (?:mentioned |"
        rf"said |stated |given )?{_IN_TEXT}"
    ),
    "we are not told": (
        rf"^{_WE} (?:(?:is|are|was|were|am|have|has)(?: never| not)(?: been)?) (?:told|given|"
        rf"provided|informed|shown)\b|"
        rf"^{_WE} (?:would|can|could|will) (?:only|just|merely|have to|be) (?:speculat|guess)\w*|"
        rf"^{_WE} (?:do|did|can|could|does)(?: not|not) (?:see|find)\b.*{_IN_TEXT}"
    ),
    "I do not know": (
        rf"^{_WE} (?:(?:really |honestly |simply |just )?(?:do|did)(?: not|n't) (?:really |"
        rf"actually |quite )?(?:know|understand)(?: the answer\b.*| enough\b.*|{_OBJECT})|"
        r"(?:am|'m)(?: \w+)? (?:not (?:\w+ )?(?:sure|certain|aware)|unsure|uncertain|unaware|"
        r"clueless)\b(?! of the)|"
        r"(?:have|'ve) (?:absolutely )?no (?:idea|information|way|clue|knowledge|answer|data|"
        r"access)|lack (?:the )?(?:\w+ )?(?:information|context|details?|data)|"
        rf"(?:do|did)(?: not|n't) have (?:the |any |enough |access |sufficient |that |this )|"
        rf"(?:would |will )?need (?:more|additional|further) (?:\w+ )?{_INFORMATION})"
    ),
    "I cannot tell": (
        rf"^{_WE}(?: \w+ly)? {_CANNOT} (?:\w+ly )?(?:{_TOLD}|see|give|provide|offer|make out|"
        rf"discern|respond|state|complete|help|assist|predict|create|describe|draw){_OBJECT}"
    ),
    "I cannot determine X": (
        rf"^{_WE}(?: \w+ly)? {_CANNOT} (?:\w+ly )?(?:determine|infer|ascertain|deduce|confirm) "
        rf"(?:the|his|her|its|their)\b"
    ),
    "I find nothing": (
        rf"^i (?:(?:see|find|found) (?:no|nothing)\b.*{_IN_TEXT}|{_CANNOT} (?:find|see|"
        rf"locate)\b.* (?:in|within) {_TEXT})"
    ),
    "it cannot be told": (
        rf"^{_IT}(?: \w+)? (?:{_CANNOT} be (?:\w+ly )?{_TOLD}|(?:is|was|remains|'s) (?:\w+ly "
        rf")?(?:impossible|not possible|"
        rf"unclear|not clear|unknown|not known|uncertain|unanswerable|not answerable|unspecified|"
        rf"unstated|hard to say|not something)"
        rf"(?:$|,| to (?:me\b.*|us\b.*|(?:be )?{_TOLD})| for me| {_IN_TEXT}| (?:who|what|when|"
        rf"where|why|how|which)\b|"
        rf" (?:from|based|given|as|because|since)\b))|^it's (?:unclear|unknown|not clear|"
        rf"impossible|not possible)\b(?! (?:if|whether))"
    ),
    "X cannot be told": (
        rf"^(?!.*\b(?:both|exactly|ever|directly from \w+ed)\b).*\b{_CANNOT} be (?:\w+ly "
        rf")?(?:determined|answered|inferred|ascertained|"
        rf"deduced|concluded|answered|verified|confirmed)(?:$|,| {_IN_TEXT}| (?:from|without|"
        rf"using|based|as|because|since|due)\b)"
    ),
    "X is unknown": (
        rf"^(?:the |his |her |its |their |\w+(?:'s|s') ).*\b(?:is|are|remains?) (?:unknown|"
        rf"unclear|uncertain|not known|not clear)(?:$|,? {_IN_TEXT})"
    ),
    "cannot tell": (
        rf"^(?:{_CANNOT}|unable to|(?:it's |it is )?(?:impossible|not possible) to) (?:\w+ly "
        rf")?(?:be )?(?:{_TOLD}|give|provide){_OBJECT}"
    ),
    "more is needed": (
        rf"^(?:(?:more|additional|further) (?:\w+ )?{_INFORMATION} (?:is|are|would be) (?:needed|"
        rf"required|necessary)|"
        rf"(?:please|could you|can you|i need you to) (?:please )?(?:provide|give|share|supply|"
        rf"send)\b.*(?:{_INFORMATION}|{_NAMED}))"
    ),
    "the question has no answer": (
        r"^(?:the|this|that|your) question(?: \w+)? (?:(?:is|was) (?:\w+ly )?(?:unanswerable|not "
        r"(?:answer(?:ed|able)|addressed|covered))|"
        r"(?:has|have) no answer|(?:can ?not|can't) be|goes beyond|is (?:not related|unrelated|"
        r"irrelevant)|does not (?:relate|concern)|(?:isn't|wasn't) (?:answered|addressed|"
        r"covered))"
    ),
}
"""Forms of refusal in English, each with what it stands for."""
