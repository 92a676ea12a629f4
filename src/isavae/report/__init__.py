"""From run and study directories to pictures: the paper's figures by number, and a study's page."""

from isavae.report.page import render, write_report
from isavae.report.paper import NUMBERS, factor_analysis_toy, ica_toy, paper_figures
from isavae.report.pictures import RunFigures

__all__ = [
    "NUMBERS",
    "RunFigures",
    "factor_analysis_toy",
    "ica_toy",
    "paper_figures",
    "render",
    "write_report",
]
