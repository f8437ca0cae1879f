"""Opens a page in the browser: re-pose, invent, mix, interpolate.

Examples:
    dpig page
    dpig page --run_dir=runs/demo --port=7861

Needs Gradio: pip install 'dpig-tf2[page,pose]'. The page is served to this machine only, unless
--host says otherwise, and works without network: nothing is sent anywhere. Photos that are added
are kept in memory and in a temporary folder, which is emptied every quarter of an hour and when the
page ends. Ctrl-C ends it.
"""

import importlib.util

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, program

FLAGS = flags.FlagValues()
_RUN_FOLDER = flag_groups.RunFolderFlags(FLAGS, required=False)
flags.set_default(_RUN_FOLDER.path, "preset:persons_128x64")
_EXECUTION = flag_groups.ExecutionFlags(FLAGS)
_PORT = flags.DEFINE_integer(
    "port", 7860, "Port of the page.", lower_bound=1, upper_bound=65535, flag_values=FLAGS
)
_HOST = flags.DEFINE_string(
    "host",
    "127.0.0.1",
    "Address to serve at. 0.0.0.0 lets everybody in the network use the page, who then can see "
    "nothing of each other but share this machine.",
    flag_values=FLAGS,
)
_POSE_MODEL = person_flags.define_pose_model(FLAGS)


def main() -> None:
    if importlib.util.find_spec("gradio") is None:
        raise program.FlagError("the page needs Gradio: pip install 'dpig-tf2[page,pose]'")
    _RUN_FOLDER.config()
    from dpig_tf2.page import serving

    serving.serve(
        _RUN_FOLDER.path.value,
        execution=_EXECUTION.measured(_EXECUTION.execution()),
        checkpoint=_RUN_FOLDER.checkpoint.value,
        pose_model=_POSE_MODEL.value,
        host=_HOST.value,
        port=_PORT.value,
        say=program.say,
    )


if __name__ == "__main__":
    program.run(__name__)
