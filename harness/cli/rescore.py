"""`gist-bench rescore`: the metrics of a run anew from its stored answers."""

from pathlib import Path

import click

from harness.cli.options import PATH, typed_command


@click.command(name="rescore")
@click.argument("run", metavar="RUNDIR", type=PATH)
@click.option(
    "-o",
    "--output",
    metavar="NEWDIR",
    type=PATH,
    help="The new run folder. Default: a folder beside RUNDIR, named by a hash.",
)
@click.option(
    "--judge",
    "judge_name",
    metavar="M",
    help="Add a column with the verdicts of a model: http://host:port/v1#model, or as --model.",
)
@click.option(
    "--key-env",
    metavar="NAME",
    help="Environment variable that holds the judge's API key. Default: OPENAI_API_KEY.",
)
@click.option(
    "--bert-score",
    "encoder",
    metavar="FOLDER",
    help="Add a column of BERTScore, by the model in a folder such as models/roberta-large.",
)
def command(
    *,
    run: Path,
    output: Path | None,
    judge_name: str | None,
    key_env: str | None,
    encoder: str | None,
) -> None:
    """Score the answers of RUNDIR again, without a model, into a new run folder.

    For runs that were scored by an earlier version. Answers, times and memory stay as they are, and
    run.json says which run they are from. Data that a suite names must still be there. Contexts are
    not stored: values that depend on them stay as they were, and are counted.

    A judge sees question, accepted answers and answer. Its verdicts are a column beside the
    metrics, and the report says how well both agree.

    \b
    Examples:
      gist-bench rescore results/runs/1f3a5c7e9b2d
      gist-bench rescore results/runs/1f3a5c7e9b2d -o results/runs/rescored
      gist-bench rescore results/runs/1f3a5c7e9b2d --judge http://localhost:8000/v1#my-model
    """  # noqa: D301 - click wants the backspace itself, to keep the lines below it
    from harness.run.bertscore import BertScore
    from harness.run.rescore import rescore

    judge = None
    if judge_name:
        from harness.cli.judge import open_judge

        judge = open_judge(judge_name, key_env=key_env)
    done = rescore(
        run,
        output,
        command=typed_command(),
        judge=judge,
        bert_score=BertScore(encoder) if encoder else None,
    )
    for notice in done.notices:
        click.echo(notice, err=True)
    click.echo(done.folder)
