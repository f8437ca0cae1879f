"""Pictures of every tab of a running page, for docs/page.md; `scripts/pictures.sh` calls it.

    dpig page &
    python scripts/page_screenshots.py http://localhost:7860 docs

Needs Playwright and Chromium, as the browser tests do.
"""

import pathlib
import shutil
import sys

from playwright.sync_api import sync_playwright

TABS = {
    "Re-pose": "#repose-pictures img",
    "New persons": "#new-pictures img",
    "Mix": "#mix-pictures img",
    "Interpolate": "#frames img[src]",
    "Disentangle": "#disentangle-pictures img",
}


def main(address: str, folder: str) -> None:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1240, "height": 860})
        page.goto(address)
        for tab, picture in TABS.items():
            page.get_by_role("tab", name=tab, exact=True).click()
            page.wait_for_selector(picture, timeout=120_000)
            page.wait_for_timeout(1000)  # until the last picture has faded in
            name = f"page_{tab.lower().replace(' ', '_').replace('-', '')}.png"
            page.screenshot(path=pathlib.Path(folder, name), full_page=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
