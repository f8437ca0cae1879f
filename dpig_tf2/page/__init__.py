"""The page in the browser: what it does in plain functions, and Gradio around them.

`cast` has the persons and poses to choose from, `studio` what is done with them, `results` what
comes of it, `components` the parts of the page that Gradio lacks, `app` the page itself. Gradio is
imported by the last two only.
"""
