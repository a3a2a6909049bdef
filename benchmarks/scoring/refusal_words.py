"""The words that forms of refusal are made of, as patterns: texts, what they say, what is asked."""

NAMED = "text|passage|context|document|article|paragraph|excerpt|extract|snippet|material|input"
ANY = (
    f"{NAMED}|story|narrative|report|source|information|knowledge|data|content|"
    "letter|page|author|writer|narrator|speaker"
)
# Kinds of documents that can be silent about something; what they do not *cover* is often a claim.
KINDS = (
    "contract|agreement|lease|policy|manual|handbook|guide|brochure|leaflet|e-?mail|message|memo|"
    "notes?|minutes|transcript|interview|conversation|dialogue|speech|summary|abstract|paper|study|"
    "chapter|section|review|log|diary|blog|post|recipe|description|poem|tale|book|file|"
    "invoice|bill|receipt|form|certificate|schedule|table|menu|press release|advert|timetable|"
    "statement|announcement|notice|record|web ?site|web ?page|protocol|scene|sentence"
)
GIVEN = "(?:given|provided|above|supplied|present|available|following|short|whole|entire|source) "
A = f"(?:(?:the|this|that|your|any|these|those) (?:{GIVEN})*|{GIVEN}+)"
TAIL = (
    r"(?: (?:(?:you|that was|that is|i was) )?(?:gave(?: me)?|shared|sent|attached|pasted|"
    r"uploaded|provided|given|above|alone|itself)(?: (?:me|us|here))?)?"
)
TEXT = rf"(?:{A}?(?:{NAMED})s?\b{TAIL})"
ANY_TEXT = rf"(?:{A}(?:{ANY})s?\b{TAIL})"
SPEAKER = rf"(?:{A}(?:{ANY}|{KINDS})s?\b{TAIL})"
OF_TEXT = rf"(?:{ANY_TEXT}|what (?:is|was) \w+)"
IN_TEXT = (
    rf"(?:(?:\w+ )?(?:in|by|within|from|on|with|using|based on|anywhere in) {OF_TEXT}|in (?:text|"
    rf"context|passage|document)$)"
)
HERE = (
    rf"(?:$|,| (?:explicitly|directly|clearly|specifically)$| -| {IN_TEXT}| here\b| anywhere\b|"
    rf" so\b| and\b)"
)
HOW = (
    r"(?:(?:explicitly|directly|clearly|specifically|actually|ever|really|even|further|anywhere|"
    r"yet) )*"
)
MENTIONED = r"(?:mentioned|stated|specified|disclosed|indicated|revealed|addressed|answered)"
STATED = (
    rf"(?:{MENTIONED}|given|provided|said|found|included|known|described|discussed|available|"
    rf"contained|present|covered|listed|named|identified|recorded|explained|established|defined|"
    rf"clear|made clear|supplied|noted|reported|detailed|written|shown|determinable|answerable|"
    rf"inferable)"
)
SAYS = (
    r"(?:say|state|mention|specify|provide|give|contain|include|indicate|tell|reveal|discuss|"
    r"address|answer|explain|describe|disclose|identify|name|list|have|offer|make|cover|supply|"
    r"clarify|touch|refer|go into|report|record|note|define|elaborate|hold|show|talk)"
)
WH = r"(?:who(?:se|m)?|what|when|where|why|how|which|whether|if)\b"
INFORMATION = (
    r"(?:information|info|mention|details?|answers?|indication|evidence|data|context|clues?|"
    r"hints?|reference|facts|explanation|specifics|record|statement|description|basis|way|wording)"
)
ENOUGH = r"(?:no|not enough|insufficient|not sufficient|too little|nothing|not any|little)"
SOME = (
    r"(?:(?:specific|relevant|further|such|direct|explicit|clear|other|actual|more|additional|"
    r"useful) )*"
)
# What a text is said to lack: a question, information, or a plain thing without a number.
LACKED = (
    rf"(?:(?:us |me |you |the reader )?{WH}|(?:us|me|you)\b|(?:to|about|on|into) |(?:the|any|an|a|"
    rf"this|that|it|its|his|her|their|such|enough|sufficient|anything|specific|explicit|details?|"
    rf"information|\w+(?:'s|s'))\b(?!.*\d)|$|,)"
)
STRONG = (
    r"(?:say|state|mention|specify|indicate|provide|reveal|discuss|address|tell|disclose|clarify|"
    r"explain|name|identify|talk about)"
)
LACKED_STRICT = (
    rf"(?:(?:us |me |you )?{WH}|(?:us|me|you)$|(?:to|about|on) |(?:anything|enough|sufficient|"
    rf"this|that|it)\b|(?:any |the |an |enough )?{SOME}{INFORMATION}\b(?!.*\d)|$)"
)
TOLD = (
    r"(?:determined?|answer(?:ed)?|known?|found|find|infer(?:red)?|said|say|told?|tell|"
    r"established?|conclude[d]?|deduced?|derived?|ascertain(?:ed)?|identif(?:y|ied)|locate[d]?|"
    r"confirm(?:ed)?|verif(?:y|ied)|given|be (?:sure|certain)|work(?:ed)? out|judged?)\b"
)
CANNOT = (
    r"(?:can ?not|could not|(?:am|was|were|are) (?:unable|not able) to|would not be able to|"
    r"have (?:been unable|not been able) to|failed to)"
)
WE = r"(?:i|we|one|you|the reader)"
IT = (
    r"(?:it|this|that|there|the (?:\w+ )?(?:answer|question|information|detail)s?(?: (?:needed|"
    r"required|necessary))?(?: to (?:(?:this|the|your) )?\w+(?: (?:this|the|your) \w+)?)?|"
    r"the correct answer)"
)
# After `I cannot tell`: nothing, a question, a text or information, but no thing of the world.
OBJECT = (
    rf"(?:$|,| {WH}(?! to\b)| {IN_TEXT}| (?:from|based|given|without|with|because|since|as|due|so|"
    rf"for sure|for certain)\b| (?:this|that|it|these)(?: one| question| information)?(?:$|,|"
    rf" from| based| because| as|{IN_TEXT})| (?:your (?:question|request)|the (?:question|answer)|"
    rf"the (?:exact )?\w+(?: \w+)? (?:of|for|in|from|without|based)|(?:an?|any|the|such|enough|"
    rf"sufficient) {SOME}{INFORMATION}|information|anything|any\b|an? \w+(?: \w+){{0,4}} "
    rf"(?:without|because|as there|as no)|the (?:given|provided|attached)|an? (?:definitive|"
    rf"certain|correct|precise|exact|specific) answer)\b)"
)
