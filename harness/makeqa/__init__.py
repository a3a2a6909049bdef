"""Questions with answers from a person's own documents, for training and for tests.

Where to start: `job` is the whole command. `readers` and `extract` make text of files, `cutting`
makes contexts of texts. For each context, `pipeline` asks a teacher (`asking`: a language model;
`rules`: none), checks what it proposes (`checks`) and writes what is left (`journal`).
"""
