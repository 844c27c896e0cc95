"""A table that a reader takes along, in the form that every spreadsheet opens."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from fastapi import Response

from service.console import forms, rendering
from service.settings import Settings


def csv_file(
    settings: Settings, lang: str, name: str, columns: Iterable[str], lines: Iterable[Iterable[Any]]
) -> Response:
    """Return the lines under their ``columns`` as a file (RFC 4180, with the mark that tells UTF-8); no cell computes.

    That of a drill says so in its first line.
    """
    written = io.StringIO()
    table = csv.writer(written)
    if mark := rendering.mark(settings, lang):
        table.writerow([mark])
    table.writerow(columns)
    table.writerows([forms.cell(each) for each in line] for line in lines)
    headers = {"Content-Disposition": rendering.attachment(settings, f"{name}.csv")}
    return Response("\ufeff" + written.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
