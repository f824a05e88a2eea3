"""Real failures of Tekton, recorded: the cases, the recorder, and the objects as golden files.

`cases/*.yaml` says what is done, `<case>.json` beside this file what came of it on a real cluster;
no such file is written by hand. `python -m tests.stack record` records, unit tests read.
"""
