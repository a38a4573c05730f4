"""The door to `printing` for the service: fpdf2 takes a second to import, and the worker alone needs it."""

from services.board.domain.report import Report


def pdf(report: Report) -> bytes:
    """A vendor's report as PDF. Runs in a worker."""
    from services.board.printing import pdf_of  # noqa: PLC0415 - see above

    return pdf_of(report)
