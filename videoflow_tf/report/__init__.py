"""Everything there is about a run, on one web page."""

from videoflow_tf.report.page import report_page

__all__ = ["report_page"]
