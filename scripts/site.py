"""What MkDocs calls to build the site: which pages there are, and those made from the code."""

import pathlib
import re

from mkdocs.structure.files import File

from dpig_tf2.cli import program, verbs

_PAGES = ("*.md", "docs/*.md", "data/*.md", "examples/*.md")
_LINK = re.compile(r"\]\(([\w./-]+)(?:#[\w-]*)?\)")
# What users import, room by room.
_API = {
    "Trained networks": [
        "dpig_tf2.sampling.sampler.PersonSampler",
        "dpig_tf2.sampling.person_codes.PersonCodes",
        "dpig_tf2.sampling.person_codes.Samples",
        "dpig_tf2.sampling.inversion.InversionSettings",
        "dpig_tf2.sampling.mixing.mix_codes",
        "dpig_tf2.execution.Execution",
    ],
    "Photos": ["dpig_tf2.detection.detector.PoseDetector", "dpig_tf2.detection.crops.Crop"],
    "Records": ["dpig_tf2.records.record_set.RecordSet", "dpig_tf2.pipeline.batches"],
    "Training": [
        "dpig_tf2.config.Config",
        "dpig_tf2.config.preset",
        "dpig_tf2.run_folder.RunFolder",
        "dpig_tf2.training.trainers.build_trainer",
        "dpig_tf2.training.trainer.StageTrainer",
        "dpig_tf2.training.run.train",
        "dpig_tf2.training.run.RunOptions",
        "dpig_tf2.training.data.TrainingData",
    ],
    "Serving": ["dpig_tf2.serving.export", "dpig_tf2.serving.formats.ExportSettings"],
    "Errors": ["dpig_tf2.errors.DpigError"],
}


def on_files(files, config):
    """Pages lie as in the repository, with whatever they link to."""
    root = pathlib.Path(config.config_file_path).parent
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    pages = [path for pattern in _PAGES for path in sorted(root.glob(pattern))]
    linked = {
        (page.parent / link).resolve()
        for page in pages
        for link in _LINK.findall(page.read_text(encoding="utf-8"))
    }
    shown = [path for path in linked if path.is_file() and path.is_relative_to(root)]
    for path in sorted({*pages, *shown}):
        uri = path.relative_to(root).as_posix()
        files.append(File(uri, str(root), config.site_dir, config.use_directory_urls))
    for uri, text in _generated().items():
        files.append(File.generated(config, uri, content=text))
    return files


def _generated():
    """{address: text} of the pages that the code tells."""
    lines = ["# Commands", ""]
    pages = {}
    for group, names in verbs.GROUPS.items():
        lines += [f"## {group}", "", "| verb | does |", "|---|---|"]
        lines += [f"| [{name}]({name}.md) | {verbs.summary(name)} |" for name in names]
        lines.append("")
        for name in names:
            text = program.help_text(verbs.load(name))
            pages[f"commands/{name}.md"] = f"# dpig {name}\n\n```text\n{text}\n```\n"
    pages["commands/index.md"] = "\n".join(lines)
    api = ["# Python", ""]
    for title, names in _API.items():
        api += [f"## {title}", "", *(f"::: {name}\n" for name in names)]
    pages["api.md"] = "\n".join(api)
    return pages
