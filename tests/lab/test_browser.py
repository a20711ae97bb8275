"""What a learner sees: JupyterLab in Chromium runs a notebook, and a picture moves before its cell ends."""

import json

import nbformat
import pytest
from conftest import OUT, ROOT

LIVE = r'''
use std::io::Write;
let path = std::env::var("GPT_LAB_CHANNEL")?;
let mut pipe = std::fs::OpenOptions::new().write(true).open(path)?;
for step in 1..=30 {
    let points: String = (0..=step).map(|x| format!("{},{:.1} ", x * 10, 100.0 * (-0.1 * x as f64).exp())).collect();
    let svg = format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 300 110' width='300' data-step='{step}'><polyline points='{points}' fill='none' stroke='#3584e4' stroke-width='2'/></svg>");
    writeln!(pipe, r#"{{"type":"display","id":"loss","data":{{"text/html":"{svg}"}}}}"#)?;
    std::thread::sleep(std::time::Duration::from_millis(150));
}
'''
KERNELSPEC = {"display_name": "Rust (gpt_lab)", "language": "rust", "name": "gpt_lab"}
STEP = "document.querySelector('.jp-OutputArea svg[data-step]')?.dataset.step"


def theme(page, server, name):
    """Chooses a theme as the menu does."""
    body = json.dumps({"raw": json.dumps({"theme": name})})
    reply = page.request.put(f"{server.url}/lab/api/settings/@jupyterlab/apputils-extension:themes", data=body)
    assert reply.ok, reply.text()


def open_notebook(page, server, name):
    page.goto(f"{server.url}/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-Notebook .jp-Cell")
    page.wait_for_function("document.querySelector('.jp-NotebookPanel-toolbar .jp-KernelName')?.textContent.includes('gpt_lab')")
    page.wait_for_selector("text=/\\| Idle/")  # what is run before the kernel is connected may be dropped by the page


def run_all(page):
    page.click(".lm-MenuBar-item:has-text('Run')")
    page.click(".lm-Menu-item[data-command='runmenu:run-all']")


def prompts(page):
    """`[1]:`, `[*]:` or `[ ]:` of each code cell."""
    return page.eval_on_selector_all(".jp-CodeCell .jp-InputArea-prompt", "all => all.map(p => p.textContent.trim())")


def wait_until_done(page, seconds):
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].every(p => /\\[\\d+\\]/.test(p.textContent))",
        timeout=seconds * 1000,
    )


@pytest.fixture(scope="module")
def live(server):
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": KERNELSPEC})
    notebook.cells = [
        nbformat.v4.new_markdown_cell("# A picture that moves"),
        nbformat.v4.new_code_cell('println!("hello from Rust");'),
        nbformat.v4.new_code_cell(LIVE),
        nbformat.v4.new_code_cell("6 * 7"),
    ]
    nbformat.write(notebook, server.files / "live.ipynb")
    return "live.ipynb"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name, shot", [("JupyterLab Light", "light"), ("JupyterLab Dark", "dark")])
def test_a_picture_changes_before_its_cell_ends(page, server, live, name, shot):
    theme(page, server, name)
    open_notebook(page, server, live)
    run_all(page)
    page.wait_for_function(f"Number({STEP}) >= 3", timeout=120_000)
    first = int(page.evaluate(STEP))
    page.wait_for_function(f"Number({STEP}) > {first}", timeout=10_000)
    assert prompts(page)[1] == "[*]:", f"the picture changed only after the cell: {prompts(page)}"
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / f"live-{shot}.png")
    wait_until_done(page, 60)
    assert int(page.evaluate(STEP)) == 30, "the last picture must be the last that was sent"
    assert page.locator(".jp-OutputArea svg[data-step]").count() == 1, "updates replace the picture"
    assert "42" in page.locator(".jp-CodeCell").nth(2).inner_text()
    page.screenshot(path=OUT / f"done-{shot}.png")
    assert page.locator(".jp-CodeCell .cm-content span").count() > 5, "Rust code is not highlighted"


def lesson_until(server, name, tag):
    """The lesson up to the cell with this tag, without outputs."""
    notebook = nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=4)
    last = next(i for i, cell in enumerate(notebook.cells) if tag in cell.metadata.get("tags", []))
    notebook.cells = notebook.cells[: last + 1]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, server.files / f"{name}.ipynb")
    return f"{name}.ipynb"


@pytest.mark.timeout(1000)
def test_char_gpt_shows_its_loss_curve_while_it_trains_and_stop_keeps_the_model(page, server):
    """The first lesson, as a learner runs it: the curve is seen to change before its cell ends, which *stop* then does."""
    theme(page, server, "JupyterLab Light")
    open_notebook(page, server, lesson_until(server, "char_gpt", "check:training"))
    run_all(page)
    picture = (  # under the training cell, while it runs
        "(c => c?.querySelector('.jp-InputArea-prompt').textContent.includes('*') ?"
        " c.querySelector('.jp-OutputArea svg, .jp-OutputArea img') : null)"
        "([...document.querySelectorAll('.jp-CodeCell')].at(-1))"
    )
    page.wait_for_function(picture, timeout=600_000)
    seen = f"(picture => picture && (picture.src || picture.outerHTML))({picture})"
    before = page.evaluate(seen)
    page.wait_for_function(f"(now => now && now !== {json.dumps(before)})({seen})", timeout=120_000)
    OUT.mkdir(exist_ok=True)
    page.evaluate(f"{picture}?.scrollIntoView({{block: 'center'}})")
    page.screenshot(path=OUT / "char_gpt-training.png")
    page.click(".lm-MenuBar-item:has-text('Kernel')")
    page.click(".lm-Menu-item[data-command='kernelmenu:interrupt']")
    wait_until_done(page, 60)
    stopped = page.locator(".jp-CodeCell").last.inner_text()
    assert "stopped by the learner" in stopped and "Interrupted" in stopped, stopped
    page.screenshot(path=OUT / "char_gpt-stopped.png")
