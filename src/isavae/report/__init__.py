"""Figures of runs and studies: the paper's figures by number, and a study as one HTML page."""

from isavae.report.numbered_figures import FIGURES, factor_analysis_toy, ica_toy, paper_figures
from isavae.report.page import render_page
from isavae.report.run_figures import RunFigures
from isavae.report.run_scores import evaluate_run
from isavae.report.study_report import render, write_report

__all__ = [
    "FIGURES",
    "RunFigures",
    "evaluate_run",
    "factor_analysis_toy",
    "ica_toy",
    "paper_figures",
    "render",
    "render_page",
    "write_report",
]
