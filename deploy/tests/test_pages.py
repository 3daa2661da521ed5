"""The pages: few steps, what to expect of the last, and nothing that leads nowhere."""

import re
import unittest

from manifests import folders
from rehearsal.parts import DEPLOY, ROOT

PAGES = sorted(file for file in DEPLOY.glob("*/README.md") if file.parent.name != "tests")
MOST_STEPS = 6


def complaints(page, text):
    """What is wrong with a page."""
    steps = re.findall(r"^(\d+)[.] ", text, re.MULTILINE)
    found = []
    if not steps or len(steps) > MOST_STEPS or steps != [str(number + 1) for number in range(len(steps))]:
        found.append(f"steps {steps}")
    after = text[text.rindex(f"\n{steps[-1]}. "):] if steps else ""
    if not re.search(r"```console\n[$] .+\n[^$`]", after):
        found.append("no expected output after the last step")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        if not (page.parent / link).exists():
            found.append(f"{link} leads nowhere")
    for named in re.findall(r"\bdeploy/[\w./-]+", text):
        made = named.endswith(("plugin.wasm", "accesskeyid", "secretaccesskey"))
        if not made and not (ROOT / named.rstrip(".")).exists():
            found.append(f"{named} does not exist")
    return found


class Pages(unittest.TestCase):
    """Each page."""

    def test_have_few_steps_and_lead_somewhere(self):
        self.assertGreater(len(PAGES), 10)
        for page in PAGES:
            with self.subTest(page.parent.name):
                self.assertEqual(complaints(page, page.read_text()), [])

    def test_there_is_one_for_every_way_in_and_the_index_names_it(self):
        index = (DEPLOY / "README.md").read_text()
        for name in {folder.split("/")[0] for folder in folders()} | {"systemd", "compose", "image", "components"}:
            self.assertTrue((DEPLOY / name / "README.md").is_file(), name)
            self.assertIn(f"({name})", index)

    def test_ingress_nginx_says_that_it_is_retired(self):
        self.assertRegex((DEPLOY / "ingress-nginx/README.md").read_text(), r"retired in March 2026")

    def test_notices_a_broken_page(self):
        page = DEPLOY / "sidecar/README.md"
        text = page.read_text()
        for broken in (text.replace("(application)", "(applications)"), text + "\n7. One more\n",
                       text.replace("```console", "```sh"), text.replace("deploy/sidecar/base", "deploy/sidecar/bass")):
            self.assertNotEqual(broken, text)
            self.assertNotEqual(complaints(page, broken), [])
