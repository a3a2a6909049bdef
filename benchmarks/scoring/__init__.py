"""How an answer is scored.

`answers` has what most suites use: exact match, F1, contains. `abstention` says whether an answer
is a refusal, by the forms in `refusals*`; `unsupported` finds what an answer made up.
"""
