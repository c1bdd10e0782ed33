"""Serves the page on this machine alone, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading

from videoflow_tf.errors import UserError
from videoflow_tf.explorer.arguments import ExploreArguments
from videoflow_tf.predictors.video_flow import VideoFlowPredictor

_HOST = "127.0.0.1"
_LARGEST_UPLOAD = "100mb"


def serve(arguments: ExploreArguments) -> None:
    """Serves the page about the trained model of a run until the process is told to end, by SIGTERM with status 0.

    Raises:
      UserError: `workdir` has no trained model, the dataset is missing, or the port is taken.
    """
    check_port(arguments.port)
    predictor = VideoFlowPredictor.of_run(arguments.workdir, arguments.checkpoint)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="videoflow-explore-") as folder:
        _set_environment(folder)
        import gradio as gr
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        from videoflow_tf.explorer.page import build_page
        from videoflow_tf.explorer.parts import STYLE

        page = build_page(predictor, arguments)
        fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
        page.launch(
            server_name=_HOST,
            server_port=arguments.port,
            share=False,
            ssr_mode=False,
            mcp_server=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=_LARGEST_UPLOAD,
            quiet=True,
            inline=False,
            # Another site must not reach it by a name of its own for this address.
            app_kwargs={"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=[_HOST, "localhost"])]},
            prevent_thread_lock=True,
            theme=gr.themes.Default(primary_hue="blue", **fonts),
            css=STYLE,
        )
        print(f"Explorer: http://{_HOST}:{arguments.port} (Ctrl-C ends it)", flush=True)
        try:
            threading.Event().wait()
        finally:
            page.close(verbose=False)


def check_port(port: int) -> None:
    """Raises `UserError` unless the page can be served on that port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise UserError(f"cannot use port {port}: {error.strerror}; give another --port") from None


def _set_environment(folder: str) -> None:
    """What Gradio reads from the environment: no word to its authors, all files in `folder` and none from elsewhere."""
    os.environ |= {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": folder,
        "GRADIO_EXAMPLES_CACHE": folder,
        "GRADIO_ALLOWED_PATHS": "",
        "GRADIO_LOCAL_DEV_MODE": "",
        "GRADIO_VIBE_MODE": "",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Gradio asks its own page whether it is there: not through a proxy.
        "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), _HOST])),
    }
