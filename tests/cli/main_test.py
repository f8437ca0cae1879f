"""The command `dpig`: its verbs, its help, its completion, and how soon it answers."""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from dpig_tf2.cli import completion, main, program, verbs

_REPOSITORY = pathlib.Path(__file__).parents[2]
_CLI = pathlib.Path(verbs.__file__).parent


def _dpig(*arguments, module="dpig_tf2.cli.main"):
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, timeout=60)


def test_every_verb_is_listed_with_a_line():
    programs = {
        file.stem for file in _CLI.glob("*.py") if "program.run(__name__)" in file.read_text()
    }
    assert set(verbs.VERBS) == programs
    lines = main.overview().splitlines()
    for verb in verbs.VERBS:
        (line,) = [line for line in lines if line.startswith(f"  {verb} ")]
        assert line.endswith(f"  {verbs.summary(verb)}") and verbs.summary(verb).endswith(".")
    assert max(map(len, lines)) <= 100


def test_the_installed_command_is_this_one():
    project = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"dpig": "dpig_tf2.cli.main:run"}


@pytest.mark.parametrize("verb", verbs.VERBS)
def test_a_verb_shows_two_examples_that_its_flags_allow(verb):
    module = verbs.load(verb)
    text = module.__doc__.replace("\\\n", " ")
    examples = re.findall(rf"^    .*?\bdpig {verb}\b(.*)$", text, re.MULTILINE)
    assert len(examples) == 2
    known = {name.rstrip("=") for name in program.flag_names(module)}
    for example in examples:
        given = [word.partition("=")[0] for word in example.split() if word.startswith("--")]
        assert {name if name in known else f"--{name[4:]}" for name in given} <= known  # --no...


@pytest.mark.parametrize("verb", verbs.VERBS)
def test_help_of_flags_is_sentences(verb):
    module = verbs.load(verb)
    shown = program.help_text(module).partition("\nFlags:")[2]
    texts = re.split(r"^  --.*$", shown, flags=re.MULTILINE)[1:]
    assert len(texts) == len(program.flag_names(module))
    for text in texts:
        assert text.strip()[0].isupper() and text.strip().endswith("."), text
        assert len(text.split()) > 2, text


def test_defaults_are_shown_without_quotes_and_brackets():
    def shown(verb, flag):
        return re.search(rf"--{flag}=.*default: (.*)\)", program.help_text(verbs.load(verb)))[1]

    assert shown("download", "archive") == "train and test"
    assert shown("mix", "regions") == "lower_garment"
    assert shown("page", "run_dir") == "preset:persons_128x64"


def test_nothing_heavy_is_loaded_for_help_or_a_misspelled_flag():
    script = """
import sys
from dpig_tf2.cli import main, program, verbs
main.overview()
for verb in verbs.VERBS:
    program.help_text(verbs.load(verb))
    try:
        program.run(f"dpig_tf2.cli.{verb}", ["--misspelled"])
    except SystemExit as stop:
        assert stop.code == 1
heavy = {"tensorflow", "keras", "numpy", "PIL", "scipy", "skimage", "tqdm"} & set(sys.modules)
assert not heavy, heavy
"""
    result = subprocess.run([sys.executable, "-c", script], cwd=_REPOSITORY, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()


def test_records_that_are_not_there_are_refused_at_once():
    run = "--run_dir=preset:persons_128x64"
    lines = [
        ["train", "--preset=modern", "--run_dir=new"],
        ["evaluate", run],
        ["evaluate_disentanglement", run],
        ["export", run, "--format=litert", "--quantize=int8"],
        ["benchmark", "--what=input"],
    ]
    script = """
import json, sys
from dpig_tf2.cli import program, verbs
for verb, *flags in json.loads(sys.argv[1]):
    verbs.load(verb)
    try:
        program.run(f"dpig_tf2.cli.{verb}", [*flags, "--data_dir=nowhere"])
    except SystemExit as stop:
        assert stop.code == 1
assert "tensorflow" not in sys.modules
"""
    command = [sys.executable, "-c", script, json.dumps(lines)]
    result = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines() == [
        f"dpig {verb}: error: data folder nowhere does not exist" for verb, *_ in lines
    ]


def test_help_by_any_name():
    for arguments in ((), ("--help",), ("help",)):
        result = _dpig(*arguments)
        assert (result.returncode, result.stdout) == (0, main.overview() + "\n")
    shown = _dpig("mix", "--help")
    assert shown.returncode == 0
    assert shown.stdout == _dpig("--help", module="dpig_tf2.cli.mix").stdout
    assert "--regions=TEXT,..." in shown.stdout
    assert "--set=TEXT  (repeatable)" in _dpig("train", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tranfer"], "no verb 'tranfer'; did you mean dpig transfer?"),
        (["import-tf1"], "no verb 'import-tf1'; did you mean dpig import_tf1?"),
        (["xyzzy"], "no verb 'xyzzy' (dpig --help lists all)"),
        (["--run_dir=x", "sample"], "the verb comes first, got --run_dir=x"),
    ],
)
def test_a_misspelled_verb_is_told_its_nearest(arguments, message):
    result = _dpig(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith(f"dpig: error: {message}") and result.stderr.count("\n") == 1


def test_a_verb_runs_by_both_names():
    for run in (_dpig("completion"), _dpig(module="dpig_tf2.cli.completion")):
        assert (run.returncode, run.stdout, run.stderr) == (0, completion.script() + "\n", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["dpig", "eval"],
            {"evaluate", "evaluate_detector", "evaluate_disentanglement", "evaluate_poses"},
        ),
        (["dpig", "mix", "--reg"], {"--regions="}),
        (["dpig", "transfer", "--all"], {"--all_pairs"}),
        (["dpig", "train", "--nok"], {"--nokeep_best"}),
        (["dpig", "train", "--precision", "="], {"float32", "mixed_bfloat16", "mixed_float16"}),
        (["dpig", "train", "--precision", "=", "fl"], {"float32"}),
        (["dpig", "mix", "--run_dir", "=", "x"], set()),
        (["dpig", "mix", "--regions", "=", "head,upper_g"], {"head,upper_garment"}),
        (["dpig", "sample", "--factors", "=", "pose,b"], {"pose,background"}),
        (["dpig", "mix", "--run_dir", "=", "preset:p"], {"preset:persons_128x64"}),
        (["dpig", "mix", "--run_dir", "=", "preset", ":", "p"], {"persons_128x64"}),
        (
            ["dpig", "train", "--init_from", "=", "preset", ":"],
            {"persons_128x64", "released_deepfashion", "released_market1501"},
        ),
    ],
)
def test_bash_completes(words, expected, tmp_path, monkeypatch):
    for variable in ("XDG_CACHE_HOME", "HOME"):  # without presets of the user's own
        monkeypatch.setenv(variable, str(tmp_path))
    script = f"""
compopt() {{ :; }}
{completion.script()}
COMP_WORDS=({" ".join(words)}) COMP_CWORD={len(words) - 1}
_dpig
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    found = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert found.stderr == ""
    assert set(found.stdout.split()) == expected
