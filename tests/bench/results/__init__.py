"""Five models on the simulated home, arm beside arm: what `docs/results.md` shows.

    python -m tests.bench results DATASET [--pairs DATASET] [--targets FOLDER] --out DIR [--only NAME] [--seeds 3]
    python -m tests.bench results --out DIR --write docs

Pictures and sound are described once for each dataset by numbers that nobody learned (`pictures`), so that no test
person is in them; every arm then trains the project's own model on these, or a head of it, in seconds. An arm runs on
two splits by person and on several seeds. One run is one file below DIR/runs, written whole: a command that was
stopped goes on with those that are missing, and the page is made of these files alone.
"""
