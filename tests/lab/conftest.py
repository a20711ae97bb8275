"""JupyterLab on a free port and a page of Chromium that looks at it."""

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
OUT = Path(__file__).resolve().parent / "out"  # screenshots; not committed
CHROMIUM_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]


def chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session", autouse=True)
def needs_chromium():
    if chromium() is None:
        text = "Chromium was not found, the browser tests are skipped (Debian: `sudo apt-get install chromium`)"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)


class Server:
    """A JupyterLab of its own: no settings, workspaces or files of the user are touched."""

    def __init__(self, folder):
        self.files = folder / "files"
        self.files.mkdir()
        (folder / "gpt_lab").symlink_to(ROOT / "gpt_lab")  # notebooks load `../gpt_lab`
        env = {
            **os.environ, "JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        }
        command = [
            ROOT / ".venv/bin/jupyter", "lab", "--no-browser", "--port=0", "--allow-root", "--IdentityProvider.token=",
            f"--ServerApp.root_dir={self.files}", "--ServerApp.disable_check_xsrf=True",
        ]
        self.process = subprocess.Popen(
            list(map(str, command)), env=env, cwd=self.files, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.log = []
        self.ready = threading.Event()
        self.url = None
        threading.Thread(target=self._read, daemon=True).start()
        if not self.ready.wait(60):
            self.stop()
            raise AssertionError("JupyterLab did not start:\n" + "".join(self.log))

    def _read(self):
        for line in self.process.stdout:
            self.log.append(line)
            found = re.search(r"(http://(?:localhost|127\.0\.0\.1):\d+)/lab", line)
            if found:
                self.url = found[1]
                self.ready.set()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    yield page
    page.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test leaves a picture of what was on the page."""
    report = yield
    if report.failed and "page" in item.funcargs and call.when == "call":
        OUT.mkdir(exist_ok=True)
        name = re.sub(r"\W+", "-", item.name).strip("-")
        item.funcargs["page"].screenshot(path=OUT / f"failed-{name}.png")
    return report
