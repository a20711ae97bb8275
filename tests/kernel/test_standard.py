"""Jupyter's own tests for kernels, with everything that they offer."""

import os

import jupyter_kernel_test
from client import NOTEBOOKS
from jupyter_client.manager import start_new_kernel

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def content(mime, text):
    return {"code": f'println!("EVCXR_BEGIN_CONTENT {mime}\\n{{}}\\nEVCXR_END_CONTENT", {text!r})'.replace("'", '"'), "mime": mime}


class StandardTests(jupyter_kernel_test.KernelTests):
    kernel_name = "gpt_lab"
    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("to stderr");'
    completion_samples = [{"text": "std::collections::BTreeM", "matches": ["BTreeMap"]}]
    complete_code_samples = ["1 + 1", "let a = 1;", "fn f() {}", ":vars", 'println!("{");', "// a comment {", "'{'"]
    incomplete_code_samples = ["fn f() {", "let a = (1,", 'let s = "open', "/* a comment", "let a =", "foo("]
    invalid_code_samples = ["fn f() }", "(1]"]
    code_generate_error = 'panic!("on purpose")'
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": 'String::from("a") + "b"', "result": '"ab"'},
    ]
    code_display_data = [content("text/html", "<b>bold</b>"), content("image/png", PNG)]
    code_inspect_sample = "std::collections::BTreeMap"

    # Not part of this kernel: a pager, and clear_output, for which the channel has no message. History is kept by the
    # front end; the kernel answers with an empty list (test_protocol.py).

    @classmethod
    def setUpClass(cls):
        cls.km, cls.kc = start_new_kernel(kernel_name=cls.kernel_name, startup_timeout=120, cwd=str(NOTEBOOKS), env=dict(os.environ))
        cls.kc.execute_interactive("1", timeout=120, output_hook=lambda message: None)
