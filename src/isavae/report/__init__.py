"""Figures of runs and studies: the paper's figures by number, and a study as one HTML page."""

from isavae.report.numbered_figures import (
    FIGURES,
    OF_IMAGES,
    factor_analysis_toy,
    ica_toy,
    paper_figures,
)
from isavae.report.run_figures import RunFigures, save_information
from isavae.report.study_report import render, write_report

__all__ = [
    "FIGURES",
    "OF_IMAGES",
    "RunFigures",
    "factor_analysis_toy",
    "ica_toy",
    "paper_figures",
    "render",
    "save_information",
    "write_report",
]
